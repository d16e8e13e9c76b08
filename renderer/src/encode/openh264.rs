//! The one place that calls OpenH264's C++ interface: create, configure, encode, set the bitrate, destroy.
//!
//! The safe wrapper of the `openh264` crate has no way to more than one slice, and so to more than one thread, nor to the bitrate
//! of a running encoder. What H.264 settings to use is decided in [`super::h264`]; this module only makes the calls safe.

#![allow(unsafe_code, reason = "a C++ object behind a table of function pointers")]

use std::{
    ffi::{c_int, c_void},
    ptr::{self, NonNull},
};

use openh264_sys2::{
    ENCODER_OPTION, ENCODER_OPTION_BITRATE, ENCODER_OPTION_MAX_BITRATE, ENCODER_OPTION_TRACE_LEVEL,
    EVideoFrameType, ISVCEncoder, ISVCEncoderVtbl, SBitrateInfo, SEncParamExt, SFrameBSInfo, SPATIAL_LAYER_0,
    SSourcePicture, WELS_LOG_QUIET, source::APILoader, videoFormatI420,
};

use crate::frame::I420;

/// A call of OpenH264 failed; the code is its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("OpenH264 failed to {call} (code {code})")]
pub struct NativeError {
    /// What it should have done.
    pub call: &'static str,
    /// `CM_RETURN` of its `codec_app_def.h`.
    pub code: c_int,
}

/// An encoder that was initialised. Not `Sync`: every call may change it.
pub(super) struct Native {
    encoder: NonNull<ISVCEncoder>,
    /// Filled anew by each call to encode; 7 KiB.
    output: Box<SFrameBSInfo>,
}

// SAFETY: the encoder has no thread affinity; it is used through `&mut self` alone, so by one thread at a time.
unsafe impl Send for Native {}

impl std::fmt::Debug for Native {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Native").finish_non_exhaustive()
    }
}

impl Native {
    /// Creates an encoder with OpenH264's default parameters as `configure` changes them.
    pub(super) fn new(configure: impl FnOnce(&mut SEncParamExt)) -> Result<Self, NativeError> {
        let mut encoder: *mut ISVCEncoder = ptr::null_mut();
        // SAFETY: the pointer is a place for the result.
        let code = unsafe { APILoader::WelsCreateSVCEncoder(&raw mut encoder) };
        check("create an encoder", code)?;
        let encoder = NonNull::new(encoder).ok_or(NativeError { call: "create an encoder", code })?;
        let mut native = Self { encoder, output: Box::default() };

        let mut quiet = WELS_LOG_QUIET;
        native.set_option("silence its log", ENCODER_OPTION_TRACE_LEVEL, &mut quiet)?;
        let mut params = SEncParamExt::default();
        let get_default_params = native.method("read its defaults", |table| table.GetDefaultParams)?;
        // SAFETY: `params` is a place for the result; the encoder lives.
        check("read its defaults", unsafe { get_default_params(native.encoder.as_ptr(), &raw mut params) })?;
        configure(&mut params);
        let initialize = native.method("be initialised", |table| table.InitializeExt)?;
        // SAFETY: `params` came from the encoder and outlives the call, which copies it.
        check("be initialised", unsafe { initialize(native.encoder.as_ptr(), &raw const params) })?;
        Ok(native)
    }

    /// Changes the target and the maximum of the only layer; takes effect with the next picture.
    pub(super) fn set_bitrate(&mut self, bitrate_bps: c_int) -> Result<(), NativeError> {
        let mut info = SBitrateInfo { iLayer: SPATIAL_LAYER_0, iBitrate: bitrate_bps };
        // A target above the maximum is refused, and so is a maximum below the target: the order depends on the direction, and
        // trying the maximum first, then the target, then the maximum again serves both.
        let raised = self.set_option("set its maximum bitrate", ENCODER_OPTION_MAX_BITRATE, &mut info);
        self.set_option("set its bitrate", ENCODER_OPTION_BITRATE, &mut info)?;
        raised.or_else(|_| self.set_option("set its maximum bitrate", ENCODER_OPTION_MAX_BITRATE, &mut info))
    }

    /// The next picture will be an IDR.
    pub(super) fn force_idr(&mut self) -> Result<(), NativeError> {
        let force = self.method("force an IDR", |table| table.ForceIntraFrame)?;
        // SAFETY: the encoder lives and is initialised.
        check("force an IDR", unsafe { force(self.encoder.as_ptr(), true) })
    }

    /// Encodes one picture, of the size of the parameters. What comes back is of this picture, not of one before.
    pub(super) fn encode(&mut self, picture: &I420, pts_us: u64) -> Result<Bitstream<'_>, NativeError> {
        let encode = self.method("encode", |table| table.EncodeFrame)?;
        let [y, u, v] = picture.planes();
        let source = SSourcePicture {
            iColorFormat: videoFormatI420,
            iStride: [
                side(picture.luma_stride()),
                side(picture.chroma_stride()),
                side(picture.chroma_stride()),
                0,
            ],
            pData: [y.as_ptr().cast_mut(), u.as_ptr().cast_mut(), v.as_ptr().cast_mut(), ptr::null_mut()],
            iPicWidth: side(picture.size().width()),
            iPicHeight: side(picture.size().height()),
            // In milliseconds.
            uiTimeStamp: i64::try_from(pts_us / 1000).unwrap_or(i64::MAX),
            bPsnrY: false,
            bPsnrU: false,
            bPsnrV: false,
        };
        // SAFETY: the planes hold the rows that strides and size tell, by the invariants of `I420`; the encoder reads them during
        // this call and does not write them. `output` is a place for the result.
        check("encode", unsafe { encode(self.encoder.as_ptr(), &raw const source, &raw mut *self.output) })?;
        Ok(Bitstream { info: &self.output })
    }

    fn set_option<T>(
        &mut self,
        call: &'static str,
        option: ENCODER_OPTION,
        value: &mut T,
    ) -> Result<(), NativeError> {
        let set_option = self.method(call, |table| table.SetOption)?;
        // SAFETY: the callers of this private function pass the type that the option takes, which the encoder copies.
        check(call, unsafe {
            set_option(self.encoder.as_ptr(), option, ptr::from_mut(value).cast::<c_void>())
        })
    }

    fn method<F>(
        &self,
        call: &'static str,
        pick: impl FnOnce(&ISVCEncoderVtbl) -> Option<F>,
    ) -> Result<F, NativeError> {
        // SAFETY: the encoder lives as long as `self`, and an object's table of functions as long as the program.
        let table = unsafe { &**self.encoder.as_ptr() };
        pick(table).ok_or(NativeError { call, code: -1 })
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        if let Ok(uninitialize) = self.method("be uninitialised", |table| table.Uninitialize) {
            // SAFETY: the encoder lives; an encoder that was not initialised ignores it.
            unsafe { uninitialize(self.encoder.as_ptr()) };
        }
        // SAFETY: created by `WelsCreateSVCEncoder`, destroyed once, not used after.
        unsafe { APILoader::WelsDestroySVCEncoder(self.encoder.as_ptr()) };
    }
}

/// What one call to encode gave; in the encoder's memory until the next.
pub(super) struct Bitstream<'a> {
    info: &'a SFrameBSInfo,
}

impl<'a> Bitstream<'a> {
    pub(super) fn frame_type(&self) -> EVideoFrameType {
        self.info.eFrameType
    }

    /// The pieces of the access unit in order, each a run of NAL units with start codes.
    pub(super) fn layers(&self) -> impl Iterator<Item = &'a [u8]> + Clone {
        let layers = usize::try_from(self.info.iLayerNum).unwrap_or(0);
        self.info.sLayerInfo.iter().take(layers).map(|layer| {
            let nals = usize::try_from(layer.iNalCount).unwrap_or(0);
            if nals == 0 || layer.pNalLengthInByte.is_null() || layer.pBsBuf.is_null() {
                return &[][..];
            }
            // SAFETY: the encoder filled in as many lengths as it counted, and wrote as many bytes as they add up to, one NAL unit
            // after the other; both stay until the next call, which the borrow of `self.info` prevents.
            unsafe {
                let lengths = std::slice::from_raw_parts(layer.pNalLengthInByte, nals);
                let bytes = lengths.iter().map(|length| usize::try_from(*length).unwrap_or(0)).sum();
                std::slice::from_raw_parts(layer.pBsBuf, bytes)
            }
        })
    }
}

fn check(call: &'static str, code: c_int) -> Result<(), NativeError> {
    if code == 0 { Ok(()) } else { Err(NativeError { call, code }) }
}

/// A length that a [`renderer_protocol::FrameSize`] bounds.
fn side(pixels: u32) -> c_int {
    c_int::try_from(pixels).unwrap_or(c_int::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_encoder_was_built_with_its_vector_code() {
        unsafe extern "C" {
            fn WelsCPUFeatureDetect(processors: *mut c_int) -> u32;
        }
        let mut processors = 0;
        // SAFETY: a function of the linked library that takes a place for a number.
        let features = unsafe { WelsCPUFeatureDetect(&raw mut processors) };
        // What was built without nasm answers 0 on every processor, and is kept by cargo when nasm comes later.
        assert_ne!(features, 0, "install nasm, then `cargo clean --release -p openh264-sys2`");
    }

    #[test]
    fn parameters_that_openh264_refuses_are_an_error_with_its_code() {
        let refused = Native::new(|params| params.iPicWidth = -1);
        assert!(matches!(refused, Err(NativeError { call: "be initialised", code }) if code != 0));
    }
}
