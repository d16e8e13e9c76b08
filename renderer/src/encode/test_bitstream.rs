//! Reads what the encoder writes: NAL units, the sequence parameter set, and, through OpenH264's decoder, the picture.

use crate::frame::I420;

/// `nal_unit_type` of ITU-T H.264, table 7-1.
pub(crate) const SLICE: u8 = 1;
pub(crate) const IDR_SLICE: u8 = 5;
pub(crate) const SPS: u8 = 7;
pub(crate) const PPS: u8 = 8;

/// The NAL units of an Annex B byte stream, without start codes.
pub(crate) fn nal_units(data: &[u8]) -> Vec<&[u8]> {
    assert!(data.starts_with(&[0, 0, 0, 1]) || data.starts_with(&[0, 0, 1]), "no start code first");
    let mut starts = Vec::new();
    for position in 0..data.len().saturating_sub(2) {
        if data[position..position + 3] == [0, 0, 1] {
            starts.push(position);
        }
    }
    let ends = starts.iter().skip(1).copied().chain([data.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(start, end)| {
            let unit = &data[start + 3..end];
            // A fourth zero belongs to the start code that follows; a unit itself never ends with one.
            let length = unit.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            &unit[..length]
        })
        .collect()
}

/// The types of the NAL units, in order.
pub(crate) fn nal_types(data: &[u8]) -> Vec<u8> {
    nal_units(data).iter().map(|unit| unit[0] & 0x1F).collect()
}

/// What a test asks of a sequence parameter set; names as in ITU-T H.264, 7.3.2.1.1 and E.1.1.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sps {
    pub(crate) profile_idc: u32,
    pub(crate) constraint_set1_flag: bool,
    pub(crate) level_idc: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// `video_full_range_flag`, `colour_primaries`, `transfer_characteristics`, `matrix_coefficients`.
    pub(crate) colour: Option<(bool, u32, u32, u32)>,
    /// `max_num_reorder_frames`.
    pub(crate) reorder_frames: Option<u32>,
}

/// Reads the first sequence parameter set of an access unit. For the baseline profile only.
pub(crate) fn sps(data: &[u8]) -> Sps {
    let units = nal_units(data);
    let unit = units.iter().find(|unit| unit[0] & 0x1F == SPS).expect("a sequence parameter set");
    let mut bits = Bits::new(&unit[1..]);
    let profile_idc = bits.take(8);
    let constraints = bits.take(8);
    let level_idc = bits.take(8);
    bits.ue(); // seq_parameter_set_id
    bits.ue(); // log2_max_frame_num_minus4
    if bits.ue() == 0 {
        bits.ue(); // log2_max_pic_order_cnt_lsb_minus4
    }
    bits.ue(); // max_num_ref_frames
    bits.take(1);
    let (columns, rows) = (bits.ue() + 1, bits.ue() + 1);
    assert_eq!(bits.take(1), 1, "frame_mbs_only_flag");
    bits.take(1);
    let crop = if bits.take(1) == 1 { [bits.ue(), bits.ue(), bits.ue(), bits.ue()] } else { [0; 4] };
    let (mut colour, mut reorder_frames) = (None, None);
    if bits.take(1) == 1 {
        if bits.take(1) == 1 && bits.take(8) == 255 {
            bits.take(32);
        }
        assert_eq!(bits.take(1), 0, "overscan_info_present_flag");
        if bits.take(1) == 1 {
            bits.take(3);
            let full_range = bits.take(1) == 1;
            if bits.take(1) == 1 {
                colour = Some((full_range, bits.take(8), bits.take(8), bits.take(8)));
            }
        }
        assert_eq!(bits.take(1), 0, "chroma_loc_info_present_flag");
        assert_eq!(bits.take(1), 0, "timing_info_present_flag");
        assert_eq!(bits.take(2), 0, "hrd parameters");
        bits.take(1);
        if bits.take(1) == 1 {
            bits.take(1);
            for _ in 0..4 {
                bits.ue();
            }
            reorder_frames = Some(bits.ue());
        }
    }
    Sps {
        profile_idc,
        constraint_set1_flag: constraints & 0x40 != 0,
        level_idc,
        width: columns * 16 - 2 * (crop[0] + crop[1]),
        height: rows * 16 - 2 * (crop[2] + crop[3]),
        colour,
        reorder_frames,
    }
}

struct Bits {
    bits: Vec<bool>,
    position: usize,
}

impl Bits {
    fn new(payload: &[u8]) -> Self {
        let mut zeros = 0;
        let mut bits = Vec::new();
        for byte in payload {
            // emulation_prevention_three_byte
            if zeros >= 2 && *byte == 3 {
                zeros = 0;
                continue;
            }
            zeros = if *byte == 0 { zeros + 1 } else { 0 };
            bits.extend((0..8).rev().map(|bit| byte >> bit & 1 == 1));
        }
        Self { bits, position: 0 }
    }

    fn take(&mut self, count: usize) -> u32 {
        let taken = &self.bits[self.position..self.position + count];
        self.position += count;
        taken.iter().fold(0, |value, bit| value << 1 | u32::from(*bit))
    }

    /// An Exp-Golomb code, section 9.1.
    fn ue(&mut self) -> u32 {
        let zeros = self.bits[self.position..].iter().position(|bit| *bit).expect("an Exp-Golomb code");
        self.position += zeros;
        self.take(zeros + 1) - 1
    }
}

/// A decoder that shows what a receiver sees.
pub(crate) struct Decoder(openh264::decoder::Decoder);

impl Decoder {
    pub(crate) fn new() -> Self {
        Self(openh264::decoder::Decoder::new().expect("a decoder"))
    }

    /// The picture of an access unit, in the layout of `like`.
    pub(crate) fn decode(&mut self, data: &[u8], like: &I420) -> I420 {
        use openh264::formats::YUVSource as _;
        let decoded = self.0.decode(data).expect("a decodable access unit").expect("a picture at once");
        let (width, height) = decoded.dimensions();
        assert_eq!((width, height), (like.size().width() as usize, like.size().height() as usize));
        let mut picture = I420::new(like.size());
        let strides = [
            picture.luma_stride() as usize,
            picture.chroma_stride() as usize,
            picture.chroma_stride() as usize,
        ];
        let (luma_stride, u_stride, v_stride) = decoded.strides();
        let sources = [(decoded.y(), luma_stride), (decoded.u(), u_stride), (decoded.v(), v_stride)];
        for ((plane, stride), (source, source_stride)) in
            picture.planes_mut().into_iter().zip(strides).zip(sources)
        {
            for (row, source_row) in plane.chunks_mut(stride).zip(source.chunks(source_stride)) {
                let length = source_row.len().min(row.len());
                row[..length].copy_from_slice(&source_row[..length]);
            }
        }
        picture
    }
}

/// Peak signal-to-noise ratio of each plane, in dB; padding left out.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn psnr_db(a: &I420, b: &I420) -> [f64; 3] {
    let (width, height) = (a.size().width() as usize, a.size().height() as usize);
    std::array::from_fn(|plane| {
        let halved = if plane == 0 { 1 } else { 2 };
        let stride = if plane == 0 { a.luma_stride() } else { a.chroma_stride() } as usize;
        let mut sum = 0.0;
        for row in 0..height / halved {
            for column in 0..width / halved {
                let position = row * stride + column;
                sum += f64::from(a.planes()[plane][position].abs_diff(b.planes()[plane][position])).powi(2);
            }
        }
        let mean = sum / ((width / halved) * (height / halved)) as f64;
        if mean == 0.0 { f64::INFINITY } else { 10.0 * (255.0_f64.powi(2) / mean).log10() }
    })
}

/// The mean absolute difference of the block of 16x16 samples of a plane in which it is largest.
pub(crate) fn worst_block_difference(a: &I420, b: &I420) -> [f64; 3] {
    let strides = [a.luma_stride(), a.chroma_stride(), a.chroma_stride()].map(|stride| stride as usize);
    std::array::from_fn(|plane| {
        let (a, b, stride) = (a.planes()[plane], b.planes()[plane], strides[plane]);
        let difference = |(x, y): (usize, usize)| {
            let rows = (0..16).map(|row| (y + row) * stride + x);
            let row = |start: usize| {
                a[start..start + 16]
                    .iter()
                    .zip(&b[start..start + 16])
                    .map(|(a, b)| u32::from(a.abs_diff(*b)))
                    .sum::<u32>()
            };
            f64::from(rows.map(row).sum::<u32>()) / 256.0
        };
        let rows = a.len() / stride;
        let blocks = (0..rows / 16).flat_map(|y| (0..stride / 16).map(move |x| (x * 16, y * 16)));
        blocks.map(difference).fold(0.0, f64::max)
    })
}
