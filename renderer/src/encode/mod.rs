//! I420 pictures into H.264 access units.
//!
//! This module knows pictures and bits; it knows neither GPUs, nor scenes, nor who watches.

pub mod h264;
mod openh264;
#[cfg(test)]
pub(crate) mod test_bitstream;
#[cfg(test)]
pub(crate) mod test_pictures;

pub use h264::{EncodeError, EncodedFrame, Encoder, EncoderConfig};
