//! What one scene may use: a number for each thing of which a scene could ask for too much.
//!
//! This table is the only place that knows the numbers. The broker takes what its operator set, a worker applies what it is told
//! in [`Start`](crate::Start), and docs/limits.md lists them for people.

use serde::{Deserialize, Serialize};

use crate::OutOfRange;

/// Makes [`SceneLimits`] and [`LIMITS`] of one list, so that no limit can be in one and not in the other.
macro_rules! scene_limits {
    ($($(#[doc = $doc:literal])+ $field:ident $name:literal $default:ident = $value:expr, $range:expr;)+) => {
        $(
            $(#[doc = $doc])+
            pub const $default: u64 = $value;
        )+

        /// The limits of a scene. [`SceneLimits::default`] is what holds when nothing is set.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub struct SceneLimits {
            $(
                #[doc = concat!("See [`", stringify!($default), "`].")]
                pub $field: u64,
            )+
        }

        impl Default for SceneLimits {
            fn default() -> Self {
                Self { $($field: $default,)+ }
            }
        }

        /// All limits, in the order of the documentation.
        pub const LIMITS: &[Limit] = &[
            $(Limit {
                name: $name,
                default: $default,
                min: *$range.start(),
                max: *$range.end(),
                get: |limits| limits.$field,
                field: |limits| &mut limits.$field,
            },)+
        ];
    };
}

/// One of the [`LIMITS`].
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// Its name in settings and messages.
    pub name: &'static str,
    /// What holds when nothing is set.
    pub default: u64,
    /// The smallest value that can be set.
    pub min: u64,
    /// The largest value that can be set.
    pub max: u64,
    get: fn(&SceneLimits) -> u64,
    field: fn(&mut SceneLimits) -> &mut u64,
}

impl Limit {
    /// The limit of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        LIMITS.iter().find(|limit| limit.name == name)
    }

    /// Its value.
    pub fn get(&self, limits: &SceneLimits) -> u64 {
        (self.get)(limits)
    }

    /// Whether it can be set to this.
    pub fn allows(&self, value: u64) -> bool {
        self.min <= value && value <= self.max
    }

    /// Changes its value, which [`SceneLimits::check`] checks.
    pub fn set(&self, limits: &mut SceneLimits, value: u64) {
        *(self.field)(limits) = value;
    }
}

impl SceneLimits {
    /// The memory of a scene and of its GPU together, which on a machine without a GPU is a worker's own memory.
    pub const fn total_memory_bytes(&self) -> u64 {
        self.max_memory_bytes.saturating_add(self.max_gpu_memory_bytes)
    }

    /// Holds that each limit is in its range.
    pub fn check(&self) -> Result<(), OutOfRange> {
        for limit in LIMITS {
            let value = limit.get(self);
            if !limit.allows(value) {
                let value = value.to_string();
                let allowed = format!("{} to {}", limit.min, limit.max).into();
                return Err(OutOfRange { field: limit.name, value, allowed });
            }
        }
        Ok(())
    }
}

/// A number of objects may be set to at most this: each costs the worker some kilobytes.
const MAX_OBJECTS: u64 = 1 << 20;
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

scene_limits! {
    /// A scene's linear memories together. The gallery's scenes use a few megabytes, a Python guest 60.
    max_memory_bytes "max-memory-bytes" MEMORY_BYTES = 256 * MIB, MIB..=64 * GIB;

    /// Elements of one table of WebAssembly: function pointers of a large program.
    max_table_elements "max-table-elements" TABLE_ELEMENTS = 100_000, 1..=10_000_000;

    /// Instances of a component with its adapters, and as many tables and as many memories. The largest guests here, with WASI's
    /// adapters, have a dozen.
    max_instances "max-instances" INSTANCES = 64, 1..=10_000;

    /// Handles of resources, of the host's and of the scene's own. A frame's views and events are hundreds; scenes that forget to
    /// drop them reach this after minutes, and not after hours with a full memory.
    max_handles "max-handles" HANDLES = 100_000, 100..=10_000_000;

    /// Bytes that one call may carry in lists and strings: a texture of 3840 × 2160 in RGBA8 has 32 MiB, and this is twice that.
    max_call_bytes "max-call-bytes" CALL_BYTES = 64 * MIB, 64 * KIB..=GIB;

    /// Bytes of GPU memory in buffers, textures and query sets, the surface's textures and uploads on their way included. A 4K
    /// render target with four samples, its depth and its resolve target are 300 MiB; a texture of 8192 × 8192 with mips is 341 MiB.
    max_gpu_memory_bytes "max-gpu-memory-bytes" GPU_MEMORY_BYTES = 512 * MIB, 16 * MIB..=256 * GIB;

    /// Buffers. Drivers promise 4,096 allocations and wgpu puts many small buffers into one; a buffer for each of 10,000 things fits.
    max_buffers "max-buffers" BUFFERS = 16_384, 16..=MAX_OBJECTS;

    /// Textures: a scene with one for each of a thousand materials' four maps.
    max_textures "max-textures" TEXTURES = 4_096, 16..=MAX_OBJECTS;

    /// Texture views, live ones: four for each texture.
    max_texture_views "max-texture-views" TEXTURE_VIEWS = 16_384, 16..=MAX_OBJECTS;

    /// Samplers. Drivers have some 4,000 for all processes' devices together, and there are few ways to sample.
    max_samplers "max-samplers" SAMPLERS = 1_024, 1..=4_000;

    /// Bind groups: three for each of 10,000 things.
    max_bind_groups "max-bind-groups" BIND_GROUPS = 32_768, 16..=MAX_OBJECTS;

    /// Layouts of bind groups and of pipelines together. Those that a pipeline makes of itself count when the scene asks for them.
    max_layouts "max-layouts" LAYOUTS = 4_096, 16..=MAX_OBJECTS;

    /// Shader modules. Each keeps its parsed source, which has several times the bytes of the text.
    max_shader_modules "max-shader-modules" SHADER_MODULES = 1_024, 1..=65_536;

    /// Compute and render pipelines together. Each keeps machine code, on a software rasteriser some hundred kilobytes of it.
    max_pipelines "max-pipelines" PIPELINES = 1_024, 1..=65_536;

    /// Command encoders that are not finished and command buffers that are not submitted. A frame of a large engine has some fifty.
    max_command_buffers "max-command-buffers" COMMAND_BUFFERS = 256, 1..=65_536;

    /// Commands that one encoder may record, and so what one command buffer may carry to a submit, and what a render bundle may hold.
    /// At some five for each drawn thing these are 50,000 things.
    max_commands_per_encoder "max-commands-per-encoder" COMMANDS_PER_ENCODER = 1 << 18, 1_000..=1 << 24;

    /// Commands that wait in encoders, command buffers that are not submitted, and render bundles, all together, with 64 bytes of
    /// offsets, immediate data and labels each. Each of them takes 256 at a time. Four full encoders; a command costs the worker some
    /// hundred bytes.
    max_recorded_commands "max-recorded-commands" RECORDED_COMMANDS = 1 << 20, 1_024..=1 << 28;

    /// Render bundles, and encoders that record one.
    max_render_bundles "max-render-bundles" RENDER_BUNDLES = 1_024, 1..=MAX_OBJECTS;

    /// Query sets, of up to 4,096 queries each.
    max_query_sets "max-query-sets" QUERY_SETS = 256, 1..=65_536;

    /// Devices at once. Most scenes have one; each costs a thread, and memory in the driver.
    max_devices "max-devices" DEVICES = 8, 1..=64;

    /// Bytes of one shader's source. A large engine's über-shader has some 100 KB. It can only be lowered: the compiler's stack is
    /// made for this.
    max_shader_bytes "max-shader-bytes" SHADER_BYTES = 256 * KIB, KIB..=256 * KIB;

    /// Bytes of all shader modules' sources together, also of those that only pipelines have any more. Sources of large engines are
    /// some megabytes, and each keeps several times its bytes once it is parsed.
    max_total_shader_bytes "max-total-shader-bytes" TOTAL_SHADER_BYTES = 8 * MIB, 256 * KIB..=GIB;

    /// Uncaptured errors that wait in a stream for a scene to read them; later ones are only logged.
    max_queued_errors "max-queued-errors" QUEUED_ERRORS = 64, 1..=65_536;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_in_its_range_and_no_name_is_used_twice() {
        SceneLimits::default().check().unwrap();
        for limit in LIMITS {
            assert_eq!(limit.get(&SceneLimits::default()), limit.default, "{}", limit.name);
            assert_eq!(LIMITS.iter().filter(|other| other.name == limit.name).count(), 1, "{}", limit.name);
        }
    }

    #[test]
    fn a_limit_is_set_by_its_name_and_checked_with_the_others() {
        for limit in LIMITS {
            let mut limits = SceneLimits::default();
            Limit::named(limit.name).unwrap().set(&mut limits, limit.min);
            assert_eq!(limit.get(&limits), limit.min, "{}", limit.name);
            limits.check().unwrap();
            limit.set(&mut limits, limit.max + 1);
            let error = limits.check().unwrap_err();
            assert_eq!(error.field, limit.name);
            assert!(error.to_string().ends_with(&format!("{} to {}", limit.min, limit.max)), "{error}");
        }
        assert!(Limit::named("max-wishes").is_none());
    }
}
