//! Arguments: what is right most of the time, and else what stands at a boundary or beyond one.

use hostile::Random;
use kit::webgpu::*;

const SIZES: &[u64] = &[0, 4, 8, 16, 64, 256, 1024, 4096, 65536];
/// No buffer of this size fits: the largest that a device has by default is 2^28 bytes.
const WRONG_SIZES: &[u64] = &[1, 3, 255, (1 << 28) + 4, 1 << 40, u32::MAX as u64, u64::MAX - 3, u64::MAX];
const NUMBERS: &[u32] = &[
    0,
    1,
    2,
    3,
    4,
    5,
    8,
    16,
    63,
    64,
    255,
    256,
    257,
    4096,
    65535,
    65536,
    i32::MAX as u32,
    u32::MAX - 1,
    u32::MAX,
];
const FLOATS: &[f32] = &[
    0.0,
    -0.0,
    0.5,
    1.0,
    -1.0,
    16.0,
    64.0,
    f32::NAN,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::MAX,
    f32::MIN,
    f32::MIN_POSITIVE,
    f32::EPSILON,
];
const FORMATS: &[GpuTextureFormat] = &[
    GpuTextureFormat::Rgba8unorm,
    GpuTextureFormat::Rgba8unorm,
    GpuTextureFormat::Bgra8unormSrgb,
    GpuTextureFormat::Rgba8uint,
    GpuTextureFormat::R8unorm,
    GpuTextureFormat::R16float,
    GpuTextureFormat::R32float,
    GpuTextureFormat::R32uint,
    GpuTextureFormat::Rg11b10ufloat,
    GpuTextureFormat::Rgb9e5ufloat,
    GpuTextureFormat::Rgb10a2uint,
    GpuTextureFormat::Rgba16float,
    GpuTextureFormat::Rgba16snorm,
    GpuTextureFormat::Rgba32float,
    GpuTextureFormat::Stencil8,
    GpuTextureFormat::Depth16unorm,
    GpuTextureFormat::Depth24plus,
    GpuTextureFormat::Depth24plusStencil8,
    GpuTextureFormat::Depth32float,
    GpuTextureFormat::Depth32floatStencil8,
    GpuTextureFormat::Bc1RgbaUnorm,
    GpuTextureFormat::Bc7RgbaUnormSrgb,
    GpuTextureFormat::Etc2Rgb8unorm,
    GpuTextureFormat::EacRg11snorm,
    GpuTextureFormat::Astc4x4Unorm,
    GpuTextureFormat::Astc12x12UnormSrgb,
];
/// What may be in a buffer that a call reads its own counts from: GPU work stays as small as from any other call.
const COUNT_WORDS: u32 = 4;

/// Random arguments.
pub trait Values {
    fn number(&mut self) -> u32;
    fn small(&mut self) -> u32;
    /// Of vertices or instances: at most eight.
    fn count(&mut self) -> u32;
    /// At most eight, or more than a device takes.
    fn workgroups(&mut self) -> u32;
    fn size(&mut self) -> u64;
    fn offset(&mut self) -> u64;
    fn float(&mut self) -> f32;
    fn color(&mut self) -> GpuColor;
    fn label(&mut self) -> Option<String>;
    fn text(&mut self) -> String;
    fn bytes(&mut self) -> Vec<u8>;
    /// Content for a buffer that commands may read their counts from.
    fn counts(&mut self) -> Vec<u8>;
    fn format(&mut self) -> GpuTextureFormat;
    fn extent(&mut self) -> GpuExtent3D;
    fn origin(&mut self) -> Option<GpuOrigin3D>;
    fn buffer_usage(&mut self) -> GpuBufferUsage;
    fn texture_usage(&mut self) -> GpuTextureUsage;
    fn aspect(&mut self) -> GpuTextureAspect;
    fn view_dimension(&mut self) -> GpuTextureViewDimension;
    fn compare(&mut self) -> GpuCompareFunction;
    fn flag(&mut self) -> Option<bool>;
}

impl Values for Random {
    fn number(&mut self) -> u32 {
        if self.one_in(8) { self.any() as u32 } else { self.pick(NUMBERS) }
    }

    fn small(&mut self) -> u32 {
        self.pick(&[0, 0, 1, 1, 2, 3, 4, 5, 8])
    }

    fn count(&mut self) -> u32 {
        self.pick(&[0, 1, 1, 2, 3, 3, 4, 6, 8])
    }

    fn workgroups(&mut self) -> u32 {
        if self.one_in(8) { self.pick(&[65536, u32::MAX]) } else { self.count() }
    }

    fn size(&mut self) -> u64 {
        if self.one_in(6) { self.pick(WRONG_SIZES) } else { self.pick(SIZES) }
    }

    fn offset(&mut self) -> u64 {
        if self.one_in(6) { self.pick(WRONG_SIZES) } else { self.pick(&[0, 0, 0, 4, 8, 16, 256, 1024]) }
    }

    fn float(&mut self) -> f32 {
        self.pick(FLOATS)
    }

    fn color(&mut self) -> GpuColor {
        let mut part = || f64::from(self.float());
        GpuColor { r: part(), g: part(), b: part(), a: part() }
    }

    fn label(&mut self) -> Option<String> {
        self.one_in(3).then(|| self.text())
    }

    fn text(&mut self) -> String {
        match self.below(8) {
            0 => String::new(),
            1 => "\0\n\x1b[31m".into(),
            2 => "\u{10ffff}\u{e4}\u{202e}".repeat(500),
            3 => "a".repeat(100_000),
            _ => "main".into(),
        }
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = self.pick(&[0, 1, 3, 4, 8, 16, 64, 255, 256, 1024, 4096, 65536]);
        let word = self.any().to_le_bytes();
        word.into_iter().cycle().take(length).collect()
    }

    fn counts(&mut self) -> Vec<u8> {
        let words = self.pick(&[0, 1, 2, 4, 5, 16, 64, 256]);
        (0..words).flat_map(|_| (self.any() as u32 % COUNT_WORDS).to_le_bytes()).collect()
    }

    fn format(&mut self) -> GpuTextureFormat {
        self.pick(FORMATS)
    }

    /// At most one side is long.
    fn extent(&mut self) -> GpuExtent3D {
        let side = |random: &mut Self| random.pick(&[1, 1, 2, 4, 16, 64]);
        let mut extent = GpuExtent3D {
            width: side(self),
            height: self.maybe(side),
            depth_or_array_layers: self.maybe(|random| random.pick(&[1, 1, 1, 1, 2, 6])),
        };
        if self.one_in(6) {
            let long = self.pick(&[0, 3, 8192, 8193, 16384, u32::MAX]);
            match self.below(3) {
                0 => extent.width = long,
                1 => extent.height = Some(long),
                _ => extent = GpuExtent3D { width: 1, height: None, depth_or_array_layers: Some(long) },
            }
        }
        extent
    }

    fn origin(&mut self) -> Option<GpuOrigin3D> {
        self.one_in(4).then(|| GpuOrigin3D {
            x: self.maybe(Self::small),
            y: self.maybe(Self::number),
            z: self.maybe(Self::small),
        })
    }

    /// Nothing on the GPU writes to a buffer that commands read their counts from.
    fn buffer_usage(&mut self) -> GpuBufferUsage {
        let usage = match self.below(8) {
            0 => GpuBufferUsage::MAP_READ | GpuBufferUsage::COPY_DST,
            1 => GpuBufferUsage::MAP_WRITE | GpuBufferUsage::COPY_SRC,
            2 => GpuBufferUsage::UNIFORM | GpuBufferUsage::COPY_DST | GpuBufferUsage::COPY_SRC,
            3 => GpuBufferUsage::STORAGE | GpuBufferUsage::COPY_DST | GpuBufferUsage::COPY_SRC,
            4 => GpuBufferUsage::VERTEX | GpuBufferUsage::INDEX | GpuBufferUsage::COPY_DST,
            5 => GpuBufferUsage::INDIRECT,
            6 => GpuBufferUsage::QUERY_RESOLVE | GpuBufferUsage::COPY_SRC,
            _ => GpuBufferUsage::from_bits_truncate(self.any() as u16),
        };
        if usage.contains(GpuBufferUsage::INDIRECT) {
            let read = GpuBufferUsage::INDIRECT
                | GpuBufferUsage::VERTEX
                | GpuBufferUsage::INDEX
                | GpuBufferUsage::UNIFORM;
            return usage & (read | GpuBufferUsage::COPY_SRC);
        }
        usage
    }

    fn texture_usage(&mut self) -> GpuTextureUsage {
        match self.below(4) {
            0 => GpuTextureUsage::RENDER_ATTACHMENT | GpuTextureUsage::COPY_SRC,
            1 => GpuTextureUsage::TEXTURE_BINDING | GpuTextureUsage::COPY_DST,
            2 => GpuTextureUsage::RENDER_ATTACHMENT | GpuTextureUsage::TEXTURE_BINDING,
            _ => GpuTextureUsage::from_bits_truncate(self.any() as u8),
        }
    }

    fn aspect(&mut self) -> GpuTextureAspect {
        self.pick(&[GpuTextureAspect::All, GpuTextureAspect::DepthOnly, GpuTextureAspect::StencilOnly])
    }

    fn view_dimension(&mut self) -> GpuTextureViewDimension {
        use GpuTextureViewDimension::{Cube, CubeArray, D1, D2, D2Array, D3};
        self.pick(&[D2, D2, D2, D1, D2Array, Cube, CubeArray, D3])
    }

    fn compare(&mut self) -> GpuCompareFunction {
        use GpuCompareFunction::{Always, Equal, Less, Never};
        self.pick(&[Always, Always, Less, Equal, Never])
    }

    fn flag(&mut self) -> Option<bool> {
        self.pick(&[None, Some(false), Some(true)])
    }
}
