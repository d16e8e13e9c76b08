//! Sets of flags that wgpu has under the same names.

use crate::host::webgpu::bindings::wasi::webgpu::webgpu as wit;

macro_rules! same_flags {
    ($($wit:ident => $wgpu:ident { $($ours:ident => $theirs:ident),* $(,)? })*) => {
        $(
            impl From<wit::$wit> for wgpu::$wgpu {
                fn from(flags: wit::$wit) -> Self {
                    let mut converted = Self::empty();
                    $(
                        if flags.contains(wit::$wit::$ours) {
                            converted |= Self::$theirs;
                        }
                    )*
                    converted
                }
            }
        )*
    };
}

same_flags! {
    GpuBufferUsage => BufferUsages {
        MAP_READ => MAP_READ,
        MAP_WRITE => MAP_WRITE,
        COPY_SRC => COPY_SRC,
        COPY_DST => COPY_DST,
        INDEX => INDEX,
        VERTEX => VERTEX,
        UNIFORM => UNIFORM,
        STORAGE => STORAGE,
        INDIRECT => INDIRECT,
        QUERY_RESOLVE => QUERY_RESOLVE,
    }
    GpuTextureUsage => TextureUsages {
        COPY_SRC => COPY_SRC,
        COPY_DST => COPY_DST,
        TEXTURE_BINDING => TEXTURE_BINDING,
        STORAGE_BINDING => STORAGE_BINDING,
        RENDER_ATTACHMENT => RENDER_ATTACHMENT,
        TRANSIENT_ATTACHMENT => TRANSIENT_ATTACHMENT,
    }
    GpuShaderStage => ShaderStages {
        VERTEX => VERTEX,
        FRAGMENT => FRAGMENT,
        COMPUTE => COMPUTE,
    }
    GpuColorWrite => ColorWrites {
        RED => RED,
        GREEN => GREEN,
        BLUE => BLUE,
        ALPHA => ALPHA,
        ALL => ALL,
    }
}
