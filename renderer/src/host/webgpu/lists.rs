//! Functions that read a list where the guest keeps it.
//!
//! The generated bindings copy each list into a `Vec` before a function sees it. For `set-bind-group` that is an allocation for one
//! number, thousands of times a frame, and for megabytes it is one copy more than the one that WebGPU asks for. So these functions take
//! the generated ones' place in the linker. What they do is written once, beside those: they differ in nothing but where the list is read.

use wasmtime::component::{Linker, LinkerInstance, Resource, WasmList};
use wasmtime::{AsContext as _, StoreContextMut};

use super::bind_groups::{BindGroup, dynamic_offsets};
use super::bindings::wasi::webgpu::webgpu as wit;
use super::buffers::Buffer;
use super::bundles::RenderBundleEncoder;
use super::commands::BindingCommands;
use super::compute_passes::ComputePass;
use super::queues::Queue;
use super::render_passes::RenderPass;
use super::{WebGpuView, queues};

const INTERFACE: &str = "wasi:webgpu/webgpu@0.3.0-rc.2";

const RENDER_PASS_BIND: &str = "[method]gpu-render-pass-encoder.set-bind-group";
const COMPUTE_PASS_BIND: &str = "[method]gpu-compute-pass-encoder.set-bind-group";
const BUNDLE_BIND: &str = "[method]gpu-render-bundle-encoder.set-bind-group";
const WRITE_BUFFER: &str = "[method]gpu-queue.write-buffer-with-copy";
const WRITE_TEXTURE: &str = "[method]gpu-queue.write-texture-with-copy";

/// Dynamic offsets that are read without an allocation: as many as the standard's default limits allow a pipeline layout, and some.
const FEW_OFFSETS: usize = 16;

/// Puts the functions in the place of the generated ones, which must be there.
pub(super) fn add_to_linker<T: WebGpuView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let replaced = linker.instance(INTERFACE).and_then(replace);
    linker.allow_shadowing(false);
    replaced
}

fn replace<T: WebGpuView + 'static>(mut interface: LinkerInstance<'_, T>) -> wasmtime::Result<()> {
    interface.func_wrap(RENDER_PASS_BIND, set_bind_group::<T, RenderPass>)?;
    interface.func_wrap(COMPUTE_PASS_BIND, set_bind_group::<T, ComputePass>)?;
    interface.func_wrap(BUNDLE_BIND, set_bind_group::<T, RenderBundleEncoder>)?;
    interface.func_wrap(WRITE_BUFFER, write_buffer::<T>)?;
    interface.func_wrap(WRITE_TEXTURE, write_texture::<T>)
}

/// `this`, `index`, `bind-group`, `dynamic-offsets-data`, `dynamic-offsets-data-start`, `dynamic-offsets-data-length`
type SetBindGroup<E> =
    (Resource<E>, u32, Option<Resource<BindGroup>>, Option<WasmList<u32>>, Option<u64>, Option<u32>);

fn set_bind_group<T: WebGpuView + 'static, E: BindingCommands + 'static>(
    mut store: StoreContextMut<'_, T>,
    (this, index, bind_group, data, start, length): SetBindGroup<E>,
) -> wasmtime::Result<(Result<(), wit::SetBindGroupError>,)> {
    let data = data.as_ref().map(|data| data.as_le_slice(store.as_context()));
    let little_endian = match dynamic_offsets(data, start, length) {
        Ok(offsets) => offsets,
        Err(error) => return Ok((Err(error),)),
    };
    // The table cannot be borrowed as long as the guest's memory is.
    let mut few = [0; FEW_OFFSETS];
    let many: Vec<u32>;
    let from_guest = little_endian.iter().map(|offset| u32::from_le(*offset));
    let offsets = if let Some(few) = few.get_mut(..little_endian.len()) {
        few.iter_mut().zip(from_guest).for_each(|(offset, value)| *offset = value);
        &*few
    } else {
        many = from_guest.collect();
        &*many
    };
    let table = store.data_mut().webgpu().table;
    let group = match &bind_group {
        Some(group) => Some(table.get(group)?),
        None => None,
    };
    table.get(&this)?.set_bind_group(index, group, offsets);
    Ok((Ok(()),))
}

/// `this`, `buffer`, `buffer-offset`, `data`, `data-offset`, `size`
type WriteBuffer = (Resource<Queue>, Resource<Buffer>, u64, WasmList<u8>, Option<u64>, Option<u64>);

fn write_buffer<T: WebGpuView + 'static>(
    mut store: StoreContextMut<'_, T>,
    (this, buffer, buffer_offset, data, data_offset, size): WriteBuffer,
) -> wasmtime::Result<(Result<(), wit::WriteBufferError>,)> {
    let (device, buffer) = store.data_mut().webgpu().buffer_to_write(&this, &buffer)?;
    let data = data.as_le_slice(store.as_context());
    Ok((queues::write_buffer(&device, &buffer, buffer_offset, data, (data_offset, size)),))
}

/// `this`, `destination`, `data`, `data-layout`, `size`
type WriteTexture = (
    Resource<Queue>,
    wit::GpuTexelCopyTextureInfo,
    WasmList<u8>,
    wit::GpuTexelCopyBufferLayout,
    wit::GpuExtent3D,
);

fn write_texture<T: WebGpuView + 'static>(
    mut store: StoreContextMut<'_, T>,
    (this, destination, data, layout, size): WriteTexture,
) -> wasmtime::Result<()> {
    let written = store.data_mut().webgpu().texture_to_write(&this, &destination)?;
    if let Some((device, texture)) = written {
        let data = data.as_le_slice(store.as_context());
        queues::write_texture(&device, &texture, &destination, data, layout, size);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name that the interface does not have would be a function that nobody calls.
    #[test]
    fn every_function_that_is_replaced_is_one_of_the_interface() {
        let text = include_str!("../../../../wit/deps/wasi-webgpu-0.3.0-rc.2/package.wit");
        for name in [RENDER_PASS_BIND, COMPUTE_PASS_BIND, BUNDLE_BIND, WRITE_BUFFER, WRITE_TEXTURE] {
            let (resource, function) = name.strip_prefix("[method]").unwrap().split_once('.').unwrap();
            let (_, methods) = text.split_once(&format!("  resource {resource} {{\n")).unwrap();
            let (methods, _) = methods.split_once("\n  }").unwrap();
            assert!(methods.contains(&format!("    {function}: func(")), "{name}");
        }
        let (package, version) = INTERFACE.split_once("/webgpu").unwrap();
        assert!(text.contains(&format!("package {package}{version};")), "{INTERFACE}");
    }
}
