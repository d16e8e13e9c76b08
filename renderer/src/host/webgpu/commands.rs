//! What encoders, passes and bundles have in common: the parts that WebGPU calls mixins
//! (<https://www.w3.org/TR/webgpu/#command-encoding>), and how much of it may be recorded.
//!
//! A mixin is a trait, which says what is recorded, and a macro, which makes the functions of the interface from it: defaults are
//! filled in there, ranges are checked, and resources are looked up. The macros know nothing of what records.

use std::ops::Range;

use super::bind_groups::BindGroup;
use super::buffers::Buffer;
use super::device::Device;
use super::pipelines::RenderPipeline;
use crate::host::OverQuota;

/// What beginning a pass counts as, in commands: it takes some kilobyte.
pub(super) const PASS_COMMANDS: u32 = 16;
/// What commands of one encoder or bundle bring along: dynamic offsets, immediate data, and the names of groups and markers.
const MAX_RECORDED_BYTES: usize = 16 << 20;
/// Commands of which the scene's allowance is taken together: few beside those of a frame, and enough that it is seldom asked.
pub(super) const BLOCK_COMMANDS: u32 = 256;
/// What the commands of a block may bring along; most bring nothing.
const BLOCK_BYTES: usize = 16 << 10;

/// What an encoder may still record. It is taken from the scene's allowance in blocks, so that a command that is recorded only counts
/// down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Allowance {
    /// Of the blocks that were taken.
    commands: u32,
    bytes: usize,
    /// Of the encoder's own limit, and not taken from the scene's yet.
    more_commands: u32,
    more_bytes: usize,
    max_commands: u32,
}

/// There is not as much left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum OverAllowance {
    #[error(
        "an encoder records at most {max_commands} commands (the server's setting `max-commands-per-encoder`), with \
         {MAX_RECORDED_BYTES} bytes of offsets, immediate data and labels; this one was given more: record and submit them in parts"
    )]
    Encoder { max_commands: u32 },
    #[error("{0}: submit or drop what was recorded before")]
    Scene(#[from] OverQuota),
}

impl Allowance {
    /// What the scene's limits allow an encoder of the device, with all of its passes and bundles, or a render bundle.
    pub(super) fn of(device: &Device) -> Self {
        Self::new(u32::try_from(device.scene_limits().max_commands_per_encoder).unwrap_or(u32::MAX))
    }

    fn new(max_commands: u32) -> Self {
        Self {
            commands: 0,
            bytes: 0,
            more_commands: max_commands,
            more_bytes: MAX_RECORDED_BYTES,
            max_commands,
        }
    }

    /// Takes off what is about to be recorded, for which `take` takes as many blocks as it is told from the scene's allowance. What was
    /// refused is not taken off.
    #[inline]
    pub(super) fn spend(
        &mut self,
        commands: u32,
        bytes: usize,
        take: impl FnOnce(u32) -> Result<(), OverQuota>,
    ) -> Result<(), OverAllowance> {
        match (self.commands.checked_sub(commands), self.bytes.checked_sub(bytes)) {
            (Some(commands), Some(bytes)) => {
                (self.commands, self.bytes) = (commands, bytes);
                Ok(())
            }
            _ => self.spend_more(commands, bytes, take),
        }
    }

    /// Spends what the blocks so far have no room for.
    #[cold]
    fn spend_more(
        &mut self,
        commands: u32,
        bytes: usize,
        take: impl FnOnce(u32) -> Result<(), OverQuota>,
    ) -> Result<(), OverAllowance> {
        let lacking_commands = commands.saturating_sub(self.commands);
        let lacking_bytes = bytes.saturating_sub(self.bytes);
        if lacking_commands > self.more_commands || lacking_bytes > self.more_bytes {
            return Err(OverAllowance::Encoder { max_commands: self.max_commands });
        }
        let for_bytes = u32::try_from(lacking_bytes.div_ceil(BLOCK_BYTES)).unwrap_or(u32::MAX);
        let blocks = lacking_commands.div_ceil(BLOCK_COMMANDS).max(for_bytes);
        take(blocks)?;
        let taken_commands = blocks.saturating_mul(BLOCK_COMMANDS).min(self.more_commands);
        let taken_bytes =
            usize::try_from(blocks).unwrap_or(usize::MAX).saturating_mul(BLOCK_BYTES).min(self.more_bytes);
        self.more_commands = self.more_commands.saturating_sub(taken_commands);
        self.more_bytes = self.more_bytes.saturating_sub(taken_bytes);
        self.commands = self.commands.saturating_add(taken_commands).saturating_sub(commands);
        self.bytes = self.bytes.saturating_add(taken_bytes).saturating_sub(bytes);
        Ok(())
    }

    /// How many commands were recorded.
    pub(super) fn spent_commands(self) -> u32 {
        self.max_commands.saturating_sub(self.more_commands).saturating_sub(self.commands)
    }
}

/// <https://www.w3.org/TR/webgpu/#gpudebugcommandsmixin>
pub(super) trait DebugCommands {
    fn push_debug_group(&self, label: &str);
    fn pop_debug_group(&self);
    fn insert_debug_marker(&self, label: &str);
}

/// <https://www.w3.org/TR/webgpu/#gpubindingcommandsmixin>
pub(super) trait BindingCommands {
    fn set_bind_group(&self, index: u32, group: Option<&BindGroup>, offsets: &[u32]);
    fn set_immediates(&self, range_offset: u32, data: &[u8]);
    /// What was to be recorded is wrong, which makes the encoder invalid.
    fn fail(&self, message: &'static str);
}

/// <https://www.w3.org/TR/webgpu/#gpurendercommandsmixin>
pub(super) trait RenderCommands: BindingCommands {
    fn set_pipeline(&self, pipeline: &RenderPipeline);
    /// The range has at least one byte.
    fn set_index_buffer(&self, buffer: &wgpu::Buffer, format: wgpu::IndexFormat, range: Range<u64>);
    /// The range has at least one byte.
    fn set_vertex_buffer(&self, slot: u32, buffer: Option<(&wgpu::Buffer, Range<u64>)>);
    fn draw(&self, vertices: Range<u32>, instances: Range<u32>);
    fn draw_indexed(&self, indices: Range<u32>, base_vertex: i32, instances: Range<u32>);
    fn draw_indirect(&self, arguments: &Buffer, offset: u64);
    fn draw_indexed_indirect(&self, arguments: &Buffer, offset: u64);
}

/// The functions of [`DebugCommands`].
macro_rules! debug_commands {
    ($object:ty) => {
        fn push_debug_group(&mut self, this: Resource<$object>, group_label: String) -> wasmtime::Result<()> {
            let label = $crate::host::webgpu::labels::bounded(group_label);
            $crate::host::webgpu::commands::DebugCommands::push_debug_group(self.table.get(&this)?, &label);
            Ok(())
        }

        fn pop_debug_group(&mut self, this: Resource<$object>) -> wasmtime::Result<()> {
            $crate::host::webgpu::commands::DebugCommands::pop_debug_group(self.table.get(&this)?);
            Ok(())
        }

        fn insert_debug_marker(
            &mut self,
            this: Resource<$object>,
            marker_label: String,
        ) -> wasmtime::Result<()> {
            let label = $crate::host::webgpu::labels::bounded(marker_label);
            $crate::host::webgpu::commands::DebugCommands::insert_debug_marker(
                self.table.get(&this)?,
                &label,
            );
            Ok(())
        }
    };
}

/// The functions of [`BindingCommands`].
macro_rules! binding_commands {
    ($object:ty) => {
        fn set_bind_group(
            &mut self,
            this: Resource<$object>,
            index: u32,
            bind_group: Option<Resource<$crate::host::webgpu::bind_groups::BindGroup>>,
            dynamic_offsets_data: Option<Vec<u32>>,
            dynamic_offsets_data_start: Option<u64>,
            dynamic_offsets_data_length: Option<u32>,
        ) -> wasmtime::Result<Result<(), wit::SetBindGroupError>> {
            let offsets = match $crate::host::webgpu::bind_groups::dynamic_offsets(
                dynamic_offsets_data.as_deref(),
                dynamic_offsets_data_start,
                dynamic_offsets_data_length,
            ) {
                Ok(offsets) => offsets,
                Err(error) => return Ok(Err(error)),
            };
            let group = match &bind_group {
                Some(group) => Some(self.table.get(group)?),
                None => None,
            };
            $crate::host::webgpu::commands::BindingCommands::set_bind_group(
                self.table.get(&this)?,
                index,
                group,
                offsets,
            );
            Ok(Ok(()))
        }

        fn set_immediates(
            &mut self,
            this: Resource<$object>,
            range_offset: u32,
            data: Vec<u8>,
            data_offset: Option<u64>,
            data_size: Option<u64>,
        ) -> wasmtime::Result<()> {
            use $crate::host::webgpu::commands::{BindingCommands, IMMEDIATES_OUT_OF_RANGE, immediates};
            let encoder = self.table.get(&this)?;
            match immediates(&data, data_offset, data_size) {
                Some(data) => BindingCommands::set_immediates(encoder, range_offset, data),
                None => encoder.fail(IMMEDIATES_OUT_OF_RANGE),
            }
            Ok(())
        }
    };
}

/// The functions of [`RenderCommands`].
macro_rules! render_commands {
    ($object:ty) => {
        fn set_pipeline(
            &mut self,
            this: Resource<$object>,
            pipeline: Resource<$crate::host::webgpu::pipelines::RenderPipeline>,
        ) -> wasmtime::Result<()> {
            let pipeline = self.table.get(&pipeline)?;
            $crate::host::webgpu::commands::RenderCommands::set_pipeline(self.table.get(&this)?, pipeline);
            Ok(())
        }

        fn set_index_buffer(
            &mut self,
            this: Resource<$object>,
            buffer: Resource<$crate::host::webgpu::buffers::Buffer>,
            index_format: wit::GpuIndexFormat,
            offset: Option<u64>,
            size: Option<u64>,
        ) -> wasmtime::Result<()> {
            use $crate::host::webgpu::commands::{BindingCommands, RANGE_OUTSIDE, RenderCommands};
            let buffer = self.table.get(&buffer)?;
            let encoder = self.table.get(&this)?;
            let format: wgpu::IndexFormat = index_format.into();
            match buffer.bound(offset, size, u64::from(format.byte_size())) {
                Some((buffer, range)) => RenderCommands::set_index_buffer(encoder, buffer, format, range),
                None => encoder.fail(RANGE_OUTSIDE),
            }
            Ok(())
        }

        fn set_vertex_buffer(
            &mut self,
            this: Resource<$object>,
            slot: u32,
            buffer: Option<Resource<$crate::host::webgpu::buffers::Buffer>>,
            offset: Option<u64>,
            size: Option<u64>,
        ) -> wasmtime::Result<()> {
            use $crate::host::webgpu::commands::{BindingCommands, RANGE_OUTSIDE, RenderCommands};
            let encoder = self.table.get(&this)?;
            let Some(buffer) = &buffer else {
                RenderCommands::set_vertex_buffer(encoder, slot, None);
                return Ok(());
            };
            let buffer = self.table.get(buffer)?;
            match buffer.bound(offset, size, wgpu::VERTEX_ALIGNMENT) {
                None => encoder.fail(RANGE_OUTSIDE),
                bound => RenderCommands::set_vertex_buffer(encoder, slot, bound),
            }
            Ok(())
        }

        fn draw(
            &mut self,
            this: Resource<$object>,
            vertex_count: u32,
            instance_count: Option<u32>,
            first_vertex: Option<u32>,
            first_instance: Option<u32>,
        ) -> wasmtime::Result<()> {
            use $crate::host::webgpu::commands::{BindingCommands, DRAW_TOO_FAR, RenderCommands, span};
            let encoder = self.table.get(&this)?;
            match (span(vertex_count, first_vertex), span(instance_count.unwrap_or(1), first_instance)) {
                (Some(vertices), Some(instances)) => RenderCommands::draw(encoder, vertices, instances),
                _ => encoder.fail(DRAW_TOO_FAR),
            }
            Ok(())
        }

        fn draw_indexed(
            &mut self,
            this: Resource<$object>,
            index_count: u32,
            instance_count: Option<u32>,
            first_index: Option<u32>,
            base_vertex: Option<i32>,
            first_instance: Option<u32>,
        ) -> wasmtime::Result<()> {
            use $crate::host::webgpu::commands::{BindingCommands, DRAW_TOO_FAR, RenderCommands, span};
            let encoder = self.table.get(&this)?;
            match (span(index_count, first_index), span(instance_count.unwrap_or(1), first_instance)) {
                (Some(indices), Some(instances)) => {
                    RenderCommands::draw_indexed(encoder, indices, base_vertex.unwrap_or(0), instances);
                }
                _ => encoder.fail(DRAW_TOO_FAR),
            }
            Ok(())
        }

        fn draw_indirect(
            &mut self,
            this: Resource<$object>,
            indirect_buffer: Resource<$crate::host::webgpu::buffers::Buffer>,
            indirect_offset: u64,
        ) -> wasmtime::Result<()> {
            let arguments = self.table.get(&indirect_buffer)?;
            $crate::host::webgpu::commands::RenderCommands::draw_indirect(
                self.table.get(&this)?,
                arguments,
                indirect_offset,
            );
            Ok(())
        }

        fn draw_indexed_indirect(
            &mut self,
            this: Resource<$object>,
            indirect_buffer: Resource<$crate::host::webgpu::buffers::Buffer>,
            indirect_offset: u64,
        ) -> wasmtime::Result<()> {
            let arguments = self.table.get(&indirect_buffer)?;
            $crate::host::webgpu::commands::RenderCommands::draw_indexed_indirect(
                self.table.get(&this)?,
                arguments,
                indirect_offset,
            );
            Ok(())
        }
    };
}

pub(super) use {binding_commands, debug_commands, render_commands};

pub(super) const DRAW_TOO_FAR: &str = "a draw reaches beyond the 2^32nd vertex, index or instance";
pub(super) const RANGE_OUTSIDE: &str = "what was to be bound does not lie within its buffer, at a multiple of its unit; or has no bytes and not the usage";
pub(super) const IMMEDIATES_OUT_OF_RANGE: &str =
    "the part of the immediate data that was to be set is not within the data";

/// `count` things from `first` on, where the standard's default is the first. wgpu wants ranges, which must not wrap.
pub(super) fn span(count: u32, first: Option<u32>) -> Option<Range<u32>> {
    let first = first.unwrap_or(0);
    Some(first..first.checked_add(count)?)
}

/// The part of the data that `set-immediates` means.
/// <https://www.w3.org/TR/webgpu/#dom-gpubindingcommandsmixin-setimmediates>
pub(super) fn immediates(data: &[u8], offset: Option<u64>, size: Option<u64>) -> Option<&[u8]> {
    let rest = data.get(usize::try_from(offset.unwrap_or(0)).ok()?..)?;
    match size {
        Some(size) => rest.get(..usize::try_from(size).ok()?),
        None => Some(rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allowance_is_spent_to_the_last_command_and_byte_and_not_further() {
        let mut left = Allowance::new(10);
        assert_eq!(left.spend(9, MAX_RECORDED_BYTES, |_| Ok(())), Ok(()));
        assert!(left.spend(1, 1, |_| Ok(())).is_err());
        assert!(left.spend(2, 0, |_| Ok(())).is_err());
        assert_eq!(left.spent_commands(), 9);
        assert_eq!(left.spend(1, 0, |_| Ok(())), Ok(()));
        let error = left.spend(1, 0, |_| Ok(())).unwrap_err().to_string();
        assert!(error.contains("at most 10 commands"), "{error}");
    }

    #[test]
    fn an_allowance_takes_a_block_of_the_scenes_only_when_the_last_is_spent() {
        let mut left = Allowance::new(3 * BLOCK_COMMANDS);
        let mut taken = 0;
        for spent in 0..3 * BLOCK_COMMANDS {
            left.spend(1, 0, |blocks| {
                taken += blocks;
                Ok(())
            })
            .unwrap();
            assert_eq!(taken, spent / BLOCK_COMMANDS + 1);
        }
        let mut left = Allowance::new(3 * BLOCK_COMMANDS);
        let none = OverQuota { what: "recorded commands", limit: 0, setting: "max-recorded-commands" };
        assert_eq!(left.spend(1, 0, |_| Err(none)), Err(OverAllowance::Scene(none)));
        assert_eq!(left.spent_commands(), 0);
    }

    #[test]
    fn a_span_ends_before_it_would_wrap() {
        assert_eq!(span(3, None), Some(0..3));
        assert_eq!(span(u32::MAX, Some(0)), Some(0..u32::MAX));
        assert_eq!(span(u32::MAX, Some(1)), None);
    }

    #[test]
    fn immediate_data_is_cut_where_it_was_asked_to_be() {
        let data = [1, 2, 3, 4];
        assert_eq!(immediates(&data, None, None), Some(&data[..]));
        assert_eq!(immediates(&data, Some(1), Some(2)), Some(&data[1..3]));
        assert_eq!(immediates(&data, Some(4), None), Some(&[][..]));
        assert_eq!(immediates(&data, Some(5), None), None);
        assert_eq!(immediates(&data, Some(1), Some(u64::MAX)), None);
    }
}
