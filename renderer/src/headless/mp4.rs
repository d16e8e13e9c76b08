//! H.264 in an MP4 file: pictures as they come, and the index at the end.
//!
//! The index has some twenty bytes for each picture, which is all that a run keeps of pictures that are written.

use std::{
    io::{self, BufWriter, Write as _},
    num::NonZeroU32,
};

use renderer_protocol::FrameSize;
use shiguredo_mp4::{
    TrackKind, Uint,
    boxes::{Avc1Box, AvccBox, SampleEntry, VisualSampleEntryFields},
    mux::{Mp4FileMuxer, Sample},
};
use tempfile::NamedTempFile;

use super::video::rewrite;
use crate::encode::EncodedFrame;

/// ITU-T H.264, table 7-1.
const SPS: u8 = 7;
const PPS: u8 = 8;

/// An MP4 file that is being written.
pub(super) struct Mp4 {
    muxer: Mp4FileMuxer,
    size: FrameSize,
    frame_rate_hz: NonZeroU32,
    /// Where the next picture goes.
    offset: u64,
    described: bool,
}

impl Mp4 {
    pub(super) fn begin(
        file: &mut BufWriter<NamedTempFile>,
        size: FrameSize,
        frame_rate_hz: u32,
    ) -> io::Result<Self> {
        let muxer = Mp4FileMuxer::new().map_err(io::Error::other)?;
        let head = muxer.initial_boxes_bytes();
        file.write_all(head)?;
        let offset = head.len() as u64;
        let frame_rate_hz = NonZeroU32::new(frame_rate_hz).unwrap_or(NonZeroU32::MIN);
        Ok(Self { muxer, size, frame_rate_hz, offset, described: false })
    }

    pub(super) fn write(
        &mut self,
        file: &mut BufWriter<NamedTempFile>,
        frame: &EncodedFrame,
    ) -> io::Result<()> {
        let (mut sps, mut pps, mut data) = (Vec::new(), Vec::new(), Vec::with_capacity(frame.data.len()));
        for unit in nal_units(&frame.data) {
            match unit.first().map(|header| header & 0x1f) {
                Some(SPS) => sps.push(unit.to_vec()),
                Some(PPS) => pps.push(unit.to_vec()),
                Some(_) => {
                    let length = u32::try_from(unit.len()).map_err(io::Error::other)?;
                    data.extend_from_slice(&length.to_be_bytes());
                    data.extend_from_slice(unit);
                }
                None => {}
            }
        }
        let sample_entry = if self.described { None } else { Some(self.describe(sps, pps)?) };
        self.described = true;
        file.write_all(&data)?;
        let sample = Sample {
            track_kind: TrackKind::Video,
            sample_entry,
            keyframe: frame.keyframe,
            timescale: self.frame_rate_hz,
            duration: 1,
            composition_time_offset: None,
            data_offset: self.offset,
            data_size: data.len(),
        };
        self.muxer.append_sample(&sample).map_err(io::Error::other)?;
        self.offset += data.len() as u64;
        Ok(())
    }

    pub(super) fn end(&mut self, file: &mut BufWriter<NamedTempFile>) -> io::Result<()> {
        let boxes = self.muxer.finalize().map_err(io::Error::other)?;
        for (offset, bytes) in boxes.offset_and_bytes_pairs() {
            rewrite(file, offset, bytes)?;
        }
        Ok(())
    }

    /// What a decoder needs to know, from the parameter sets of the first picture.
    fn describe(&self, sps_list: Vec<Vec<u8>>, pps_list: Vec<Vec<u8>>) -> io::Result<SampleEntry> {
        let Some(&[_, profile, constraints, level, ..]) = sps_list.first().map(Vec::as_slice) else {
            return Err(io::Error::other("the first picture of the encoder has no parameter sets"));
        };
        let side = |side: u32| u16::try_from(side).map_err(io::Error::other);
        let visual = VisualSampleEntryFields {
            data_reference_index: VisualSampleEntryFields::DEFAULT_DATA_REFERENCE_INDEX,
            width: side(self.size.width())?,
            height: side(self.size.height())?,
            horizresolution: VisualSampleEntryFields::DEFAULT_HORIZRESOLUTION,
            vertresolution: VisualSampleEntryFields::DEFAULT_VERTRESOLUTION,
            frame_count: VisualSampleEntryFields::DEFAULT_FRAME_COUNT,
            compressorname: VisualSampleEntryFields::NULL_COMPRESSORNAME,
            depth: VisualSampleEntryFields::DEFAULT_DEPTH,
        };
        let avcc_box = AvccBox {
            avc_profile_indication: profile,
            profile_compatibility: constraints,
            avc_level_indication: level,
            length_size_minus_one: Uint::new(3),
            sps_list,
            pps_list,
            chroma_format: None,
            bit_depth_luma_minus8: None,
            bit_depth_chroma_minus8: None,
            sps_ext_list: Vec::new(),
        };
        Ok(SampleEntry::Avc1(Avc1Box { visual, avcc_box, unknown_boxes: Vec::new() }))
    }
}

/// The NAL units between the start codes of Annex B, which do not occur within a unit.
fn nal_units(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = after_start_code(data);
    std::iter::from_fn(move || {
        let unit = rest?;
        let end = unit.windows(3).position(|bytes| bytes == [0, 0, 1]);
        let (unit, next) = match end {
            Some(end) => (unit.get(..end)?, after_start_code(unit.get(end..)?)),
            None => (unit, None),
        };
        rest = next;
        // A start code of four bytes begins with a zero that belongs to no unit, and neither do other zeros before it.
        let length = unit.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        unit.get(..length)
    })
}

fn after_start_code(data: &[u8]) -> Option<&[u8]> {
    let start = data.windows(3).position(|bytes| bytes == [0, 0, 1])?;
    data.get(start + 3..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_what_stands_between_start_codes_of_either_length() {
        let data = [0, 0, 0, 1, 0x67, 1, 2, 0, 0, 1, 0x68, 3, 0, 0, 0, 1, 0x65, 4, 0, 0, 3, 1];
        let units: Vec<&[u8]> = nal_units(&data).collect();
        assert_eq!(units, [&[0x67, 1, 2][..], &[0x68, 3], &[0x65, 4, 0, 0, 3, 1]]);
        assert_eq!(nal_units(&[]).count(), 0);
        assert_eq!(nal_units(&[1, 2, 3]).count(), 0);
    }
}
