//! The H.264 encoder: constrained baseline, low delay, one IDR at the start and then only on demand.

use openh264_sys2::{
    CAMERA_VIDEO_REAL_TIME, CM_BT709, CONSTANT_ID, CP_BT709, LOW_COMPLEXITY, PRO_BASELINE, RC_BITRATE_MODE,
    SEncParamExt, SM_FIXEDSLCNUM_SLICE, SM_SINGLE_SLICE, TRC_BT709, VF_UNDEF, videoFrameTypeIDR,
};
use renderer_protocol::{FrameSize, from_worker::MAX_ACCESS_UNIT_BYTES};

use super::openh264::Native;
pub use super::openh264::NativeError;
use crate::frame::I420;

/// More slices than this cost more in lost prediction than threads win: 4 is the knee at 1080p and 4K on 16 cores.
pub const MAX_THREADS: u16 = 4;

/// The range of quantisers. It must be set: where either end is left at 0, OpenH264 takes 12 to 42, and at 42 a busy picture of
/// 720p needs 55 Mb/s whatever was asked. With 51 it needs 7. Below 20 nothing is seen to get better, and some blocks of a picture that
/// does not change are coded anew for ever: 2 KB a picture, instead of the 20 bytes that say that it is the same.
const QP_RANGE: std::ops::RangeInclusive<i32> = 20..=51;

/// What an encoder is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncoderConfig {
    /// The size of every picture.
    pub size: FrameSize,
    /// The rate that pictures come at, at most. The rate control shares the bitrate out by it.
    pub frame_rate_hz: u32,
    /// The first target.
    pub bitrate_bps: u32,
    /// From 1 to [`MAX_THREADS`]. Each thread encodes a slice of its own.
    pub threads: u16,
}

/// Why a picture could not be encoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The library failed.
    #[error(transparent)]
    Native(#[from] NativeError),
    /// A picture of another size than the encoder's. A bug of the caller.
    #[error("a picture of {found} was given to an encoder for {expected}")]
    Size {
        /// The picture's.
        found: FrameSize,
        /// The encoder's.
        expected: FrameSize,
    },
    /// An access unit beyond what may be sent to the broker.
    #[error("an access unit of {bytes} bytes is larger than the {MAX_ACCESS_UNIT_BYTES} allowed")]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
}

/// One access unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedFrame {
    /// NAL units with start codes (ITU-T H.264, Annex B); an IDR has its parameter sets before it.
    pub data: Vec<u8>,
    /// An IDR picture, from which decoding can begin.
    pub keyframe: bool,
}

/// Encodes pictures of one size, each into its own access unit, with no delay.
#[derive(Debug)]
pub struct Encoder {
    native: Native,
    config: EncoderConfig,
}

impl Encoder {
    /// The first picture will be an IDR.
    pub fn new(config: EncoderConfig) -> Result<Self, EncodeError> {
        let native = Native::new(|params| configure(params, &config))?;
        Ok(Self { native, config })
    }

    /// What the encoder was made for, with the bitrate of now.
    pub fn config(&self) -> EncoderConfig {
        self.config
    }

    /// Encodes a picture of the encoder's size. `pts_us` must rise.
    ///
    /// `None`: the rate control leaves this picture out; what receivers show is the one before.
    pub fn encode(
        &mut self,
        picture: &I420,
        pts_us: u64,
        force_keyframe: bool,
    ) -> Result<Option<EncodedFrame>, EncodeError> {
        if picture.size() != self.config.size {
            return Err(EncodeError::Size { found: picture.size(), expected: self.config.size });
        }
        if force_keyframe {
            self.native.force_idr()?;
        }
        let bitstream = self.native.encode(picture, pts_us)?;
        let bytes = bitstream.layers().map(<[u8]>::len).sum();
        if bytes == 0 {
            return Ok(None);
        }
        if bytes > MAX_ACCESS_UNIT_BYTES {
            return Err(EncodeError::TooLarge { bytes });
        }
        let mut data = Vec::with_capacity(bytes);
        bitstream.layers().for_each(|layer| data.extend_from_slice(layer));
        Ok(Some(EncodedFrame { data, keyframe: bitstream.frame_type() == videoFrameTypeIDR }))
    }

    /// The target from the next picture on; no IDR comes of it.
    pub fn set_bitrate(&mut self, bitrate_bps: u32) -> Result<(), EncodeError> {
        self.native.set_bitrate(c_int(bitrate_bps))?;
        self.config.bitrate_bps = bitrate_bps;
        Ok(())
    }

    /// Goes on with pictures of another size; the next one will be an IDR with parameter sets of its own.
    pub fn resize(&mut self, size: FrameSize) -> Result<(), EncodeError> {
        if size != self.config.size {
            *self = Self::new(EncoderConfig { size, ..self.config })?;
        }
        Ok(())
    }
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "constants of a few bits, and a frame rate of at most 120"
)]
#[allow(clippy::cast_precision_loss, reason = "a frame rate of at most 120")]
fn configure(params: &mut SEncParamExt, config: &EncoderConfig) {
    let bitrate_bps = c_int(config.bitrate_bps);
    let threads = config.threads.clamp(1, MAX_THREADS);
    // "Screen" would answer every noisy picture with an IDR.
    params.iUsageType = CAMERA_VIDEO_REAL_TIME;
    params.iComplexityMode = LOW_COMPLEXITY;
    params.iPicWidth = c_int(config.size.width());
    params.iPicHeight = c_int(config.size.height());
    // Without a frame rate the rate control overshoots twentyfold.
    params.fMaxFrameRate = config.frame_rate_hz as f32;
    params.iRCMode = RC_BITRATE_MODE;
    params.iTargetBitrate = bitrate_bps;
    params.iMaxBitrate = bitrate_bps;
    // What does not fit into the bitrate even at the coarsest quantiser is left out, so that it does not queue up on a slow link.
    // Measured at 720p30 with a rotating texture: of 150 frames it leaves out 78 at 500 kb/s (513 to 526 kb/s come out; without
    // this, 790 to 870) and 1 at 2 Mb/s. Pure noise at 500 kb/s all but freezes: one IDR of it is seconds of that link.
    params.bEnableFrameSkip = true;
    params.bFixRCOverShoot = true;
    params.iMinQp = *QP_RANGE.start();
    params.iMaxQp = *QP_RANGE.end();
    // Keyframes are for viewers who need one: they ask.
    params.uiIntraPeriod = 0;
    params.bEnableSceneChangeDetect = false;
    params.eSpsPpsIdStrategy = CONSTANT_ID;
    // Receivers do not tell which pictures they have, so a long-term reference would serve nobody.
    params.bEnableLongTermReference = false;
    params.bEnableDenoise = false;
    // It takes blocks in which little light changes for background and leaves their colour as it was: a drawn scene that moves slowly
    // then carries stale spots along.
    params.bEnableBackgroundDetection = false;
    params.iMultipleThreadIdc = threads;
    params.iSpatialLayerNum = 1;
    params.iTemporalLayerNum = 1;

    let layer = &mut params.sSpatialLayers[0];
    layer.iVideoWidth = params.iPicWidth;
    layer.iVideoHeight = params.iPicHeight;
    layer.fFrameRate = params.fMaxFrameRate;
    layer.iSpatialBitrate = bitrate_bps;
    layer.iMaxSpatialBitrate = bitrate_bps;
    layer.uiProfileIdc = PRO_BASELINE;
    // Threads share a picture out by slices and not otherwise.
    layer.sSliceArgument.uiSliceMode = if threads == 1 { SM_SINGLE_SLICE } else { SM_FIXEDSLCNUM_SLICE };
    layer.sSliceArgument.uiSliceNum = threads.into();
    // What the conversion makes; without it decoders guess by the picture's height.
    layer.bVideoSignalTypePresent = true;
    layer.uiVideoFormat = VF_UNDEF as u8;
    layer.bFullRange = false;
    layer.bColorDescriptionPresent = true;
    layer.uiColorPrimaries = CP_BT709 as u8;
    layer.uiTransferCharacteristics = TRC_BT709 as u8;
    layer.uiColorMatrix = CM_BT709 as u8;
}

/// Sizes and bitrates are bounded far below the limit of a C `int`.
fn c_int(value: u32) -> std::ffi::c_int {
    std::ffi::c_int::try_from(value).unwrap_or(std::ffi::c_int::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::{
        test_bitstream::{
            Decoder, IDR_SLICE, PPS, SLICE, SPS, nal_types, psnr_db, sps, worst_block_difference,
        },
        test_pictures::{moving, noise, picture, turning},
    };

    const FRAME_US: u64 = 33_333;

    fn size(width: u32, height: u32) -> FrameSize {
        FrameSize::new(width, height).unwrap()
    }

    fn encoder(size: FrameSize, bitrate_bps: u32, threads: u16) -> Encoder {
        Encoder::new(EncoderConfig { size, frame_rate_hz: 30, bitrate_bps, threads }).unwrap()
    }

    fn encode(encoder: &mut Encoder, picture: &I420, frame: u64, force_keyframe: bool) -> EncodedFrame {
        encoder.encode(picture, frame * FRAME_US, force_keyframe).unwrap().expect("an access unit")
    }

    #[test]
    fn an_idr_carries_its_parameter_sets_and_comes_first_and_then_only_when_forced() {
        let size = size(640, 360);
        let mut encoder = encoder(size, 2_000_000, 1);
        for frame in 0..120 {
            let forced = frame == 50;
            let unit = encode(&mut encoder, &moving(size, frame), frame.into(), forced);
            if frame == 0 || forced {
                assert_eq!(nal_types(&unit.data), [SPS, PPS, IDR_SLICE], "frame {frame}");
                assert!(unit.keyframe);
            } else {
                assert_eq!(nal_types(&unit.data), [SLICE], "frame {frame}");
                assert!(!unit.keyframe);
            }
        }
    }

    #[test]
    fn the_stream_is_constrained_baseline_in_bt709_of_the_right_size_and_a_level_that_fits() {
        // Level limits: ITU-T H.264, table A-1; 3600 and 8160 macroblocks at 30 Hz need 3.1 and 4.0.
        for ((width, height), level_idc) in
            [((640, 360), 30), ((1280, 720), 31), ((1920, 1080), 40), ((16, 16), 30), ((362, 642), 31)]
        {
            let size = size(width, height);
            let unit = encode(&mut encoder(size, 4_000_000, 1), &moving(size, 0), 0, false);
            let sps = sps(&unit.data);
            assert_eq!((sps.profile_idc, sps.constraint_set1_flag), (66, true));
            assert_eq!((sps.width, sps.height), (width, height));
            assert_eq!(sps.colour, Some((false, 1, 1, 1)));
            assert_eq!(sps.reorder_frames, Some(0));
            assert!(sps.level_idc >= 10 && sps.level_idc <= level_idc, "{size}: level {}", sps.level_idc);
        }
    }

    #[test]
    fn a_receiver_sees_what_was_encoded() {
        for (width, height, threads) in [(1280, 720, 1), (642, 362, 1), (16, 16, 1), (1280, 720, 4)] {
            let size = size(width, height);
            let (mut encoder, mut decoder) = (encoder(size, 4_000_000, threads), Decoder::new());
            for frame in 0..30 {
                let picture = moving(size, frame);
                let unit = encode(&mut encoder, &picture, frame.into(), false);
                let psnr_db = psnr_db(&decoder.decode(&unit.data, &picture), &picture);
                assert!(psnr_db.iter().all(|db| *db > 32.0), "{size}, frame {frame}: {psnr_db:?} dB");
            }
        }
    }

    #[test]
    fn a_slow_change_leaves_no_stale_block_behind() {
        let size = size(1280, 720);
        let (mut encoder, mut decoder) = (encoder(size, 4_000_000, 1), Decoder::new());
        let mut worst = [0.0_f64; 3];
        for frame in 0..60 {
            let picture = turning(size, frame);
            let unit = encode(&mut encoder, &picture, frame.into(), false);
            let blocks = worst_block_difference(&decoder.decode(&unit.data, &picture), &picture);
            worst = std::array::from_fn(|plane| worst[plane].max(blocks[plane]));
        }
        // Of 255 levels. With background detection the chroma of single blocks is off by 7.
        assert!(worst.iter().all(|difference| *difference < 4.0), "{worst:?}");
    }

    #[test]
    fn colours_stay_apart() {
        let size = size(64, 64);
        // Red, green and blue of BT.709, limited range.
        for samples in [[63, 102, 240], [173, 42, 26], [32, 240, 118]] {
            let picture = picture(size, |plane, _, _| samples[plane]);
            let unit = encode(&mut encoder(size, 4_000_000, 1), &picture, 0, false);
            let decoded = Decoder::new().decode(&unit.data, &picture);
            for (plane, expected) in samples.into_iter().enumerate() {
                assert!(decoded.planes()[plane][0].abs_diff(expected) <= 3, "plane {plane} of {samples:?}");
            }
        }
    }

    #[test]
    fn threads_encode_slices_of_one_picture() {
        let size = size(1280, 720);
        let mut encoder = encoder(size, 4_000_000, 4);
        let first = encode(&mut encoder, &moving(size, 0), 0, false);
        assert_eq!(nal_types(&first.data), [SPS, PPS, IDR_SLICE, IDR_SLICE, IDR_SLICE, IDR_SLICE]);
        let second = encode(&mut encoder, &moving(size, 1), 1, false);
        assert_eq!(nal_types(&second.data), [SLICE; 4]);
    }

    /// Bytes a second of the last second of `seconds`.
    fn last_second(
        encoder: &mut Encoder,
        seconds: u64,
        first: u64,
        picture: impl Fn(u32) -> I420,
    ) -> (usize, usize) {
        let (mut bytes, mut keyframes) = (0, 0);
        for frame in first..first + 30 * seconds {
            let unit =
                encoder.encode(&picture(u32::try_from(frame).unwrap()), frame * FRAME_US, false).unwrap();
            let Some(unit) = unit else { continue };
            keyframes += usize::from(unit.keyframe);
            if frame >= first + 30 * (seconds - 1) {
                bytes += unit.data.len();
            }
        }
        (bytes, keyframes)
    }

    #[test]
    fn the_bitrate_changes_while_running_in_both_directions_and_without_a_keyframe() {
        let size = size(320, 180);
        let noisy = |frame| noise(size, frame);
        let mut encoder = encoder(size, 1_000_000, 1);
        let (at_1m, _) = last_second(&mut encoder, 3, 0, noisy);
        encoder.set_bitrate(3_000_000).unwrap();
        let (at_3m, keyframes_up) = last_second(&mut encoder, 3, 90, noisy);
        encoder.set_bitrate(1_000_000).unwrap();
        let (again_at_1m, keyframes_down) = last_second(&mut encoder, 3, 180, noisy);
        assert_eq!((keyframes_up, keyframes_down), (0, 0));
        assert!(at_3m > 2 * at_1m, "{at_1m} bytes a second at 1 Mb/s, {at_3m} at 3 Mb/s");
        assert!(at_3m > 2 * again_at_1m, "{at_3m} bytes a second at 3 Mb/s, {again_at_1m} at 1 Mb/s again");
        assert!((100_000..160_000).contains(&at_1m), "{at_1m} bytes a second at 1 Mb/s");
    }

    #[test]
    fn another_size_goes_on_with_an_idr_of_that_size_and_a_wrong_one_is_refused() {
        let mut encoder = encoder(size(320, 180), 1_000_000, 1);
        encode(&mut encoder, &moving(size(320, 180), 0), 0, false);
        let larger = moving(size(640, 360), 1);
        assert!(matches!(encoder.encode(&larger, FRAME_US, false), Err(EncodeError::Size { .. })));
        encoder.resize(larger.size()).unwrap();
        let unit = encode(&mut encoder, &larger, 1, false);
        assert!(unit.keyframe);
        assert_eq!((sps(&unit.data).width, sps(&unit.data).height), (640, 360));
        Decoder::new().decode(&unit.data, &larger);
    }

    #[test]
    fn every_size_that_a_session_may_have_can_be_encoded() {
        for (width, height) in [(16, 16), (16, 3840), (3840, 16), (3840, 2160), (2160, 3840), (18, 3838)] {
            let size = size(width, height);
            assert!(encode(&mut encoder(size, 50_000, 1), &moving(size, 0), 0, false).keyframe, "{size}");
        }
    }

    #[test]
    fn the_same_pictures_give_the_same_bytes() {
        let size = size(320, 180);
        let run = || {
            let mut encoder = encoder(size, 1_000_000, 1);
            (0..20)
                .map(|frame| encode(&mut encoder, &moving(size, frame), frame.into(), false).data)
                .collect::<Vec<_>>()
        };
        assert_eq!(run(), run());
    }

    #[test]
    fn an_unchanged_picture_takes_almost_nothing() {
        let size = size(1280, 720);
        let mut encoder = encoder(size, 4_000_000, 1);
        let picture = moving(size, 0);
        let bytes: Vec<_> =
            (0..30).map(|frame| encode(&mut encoder, &picture, frame, false).data.len()).collect();
        assert!(bytes[29] < 100, "{bytes:?}");
    }
}
