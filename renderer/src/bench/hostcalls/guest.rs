//! The guest's side: the component guest-scenes/bench/calls/hostcalls.rs, in a store of the benchmark.

use std::sync::Arc;

use renderer_protocol::SceneLimits;
use wasmtime::Store;
use wasmtime::component::{
    Component, ComponentNamedList, Instance, Lift, Linker, Lower, Resource, ResourceTable, TypedFunc,
};

use self::bindings::scenecast::bench::calls;
use self::bindings::scenecast::bench::floor;
use super::{Calls, Clock, Spent, Work};
use crate::gpu::Gpu;
use crate::host::webgpu::bindings::wasi::webgpu::webgpu as wit;
use crate::host::webgpu::{self, WebGpu, WebGpuCtx, WebGpuCtxView, WebGpuView};
use crate::scene::engine;

/// The types of the guest's interfaces.
mod bindings {
    // Generated code, whose style is its generator's.
    #![allow(dead_code, unreachable_pub, unused_qualifications, clippy::pedantic)]

    wasmtime::component::bindgen!({
        path: ["../wit", "../guest-scenes/bench/wit"],
        world: "scenecast:bench/hostcalls",
        imports: { default: trappable },
        require_store_data_send: true,
        with: { "wasi:webgpu/webgpu": crate::host::webgpu::bindings::wasi::webgpu::webgpu },
    });
}

pub(super) use self::bindings::scenecast::bench::calls::Side;

/// Far more epochs than pass: nobody counts them here.
const NO_DEADLINE: u64 = u64::MAX / 2;

struct State {
    table: ResourceTable,
    webgpu: WebGpuCtx,
}

impl WebGpuView for State {
    fn webgpu(&mut self) -> WebGpuCtxView<'_> {
        WebGpuCtxView { ctx: &mut self.webgpu, table: &mut self.table }
    }
}

/// The floor: what its interface promises is that nothing happens.
impl floor::Host for WebGpuCtxView<'_> {
    fn three_options(
        &mut self,
        _pass: Resource<wit::GpuRenderPassEncoder>,
        _a: Option<u32>,
        _b: Option<u32>,
        _c: Option<u32>,
    ) -> wasmtime::Result<()> {
        Ok(())
    }

    fn set_bind_group(
        &mut self,
        _pass: Resource<wit::GpuRenderPassEncoder>,
        _index: u32,
        _bind_group: Option<Resource<wit::GpuBindGroup>>,
        _dynamic_offsets_data: Option<Vec<u32>>,
        _dynamic_offsets_data_start: Option<u64>,
        _dynamic_offsets_data_length: Option<u32>,
    ) -> wasmtime::Result<Result<(), wit::SetBindGroupError>> {
        Ok(Ok(()))
    }

    fn draw(
        &mut self,
        _pass: Resource<wit::GpuRenderPassEncoder>,
        _vertex_count: u32,
        _instance_count: Option<u32>,
        _first_vertex: Option<u32>,
        _first_instance: Option<u32>,
    ) -> wasmtime::Result<()> {
        Ok(())
    }

    fn dispatch_workgroups(
        &mut self,
        _pass: Resource<wit::GpuComputePassEncoder>,
        _workgroup_count_x: u32,
        _workgroup_count_y: Option<u32>,
        _workgroup_count_z: Option<u32>,
    ) -> wasmtime::Result<()> {
        Ok(())
    }

    fn write_buffer_with_copy(
        &mut self,
        _queue: Resource<wit::GpuQueue>,
        _buffer: Resource<wit::GpuBuffer>,
        _buffer_offset: u64,
        _data: Vec<u8>,
        _data_offset: Option<u64>,
        _size: Option<u64>,
    ) -> wasmtime::Result<Result<(), wit::WriteBufferError>> {
        Ok(Ok(()))
    }
}

/// An instance that has prepared itself.
pub(super) struct Guest {
    store: Store<State>,
    begin: TypedFunc<(calls::Pass,), ()>,
    make: TypedFunc<(calls::Work, Side, u32), ()>,
    finish: TypedFunc<(), ()>,
}

impl Guest {
    /// Runs the guest until it has created what its frames use. `on_error` gets what WebGPU says of its calls.
    pub(super) async fn new(
        component: &[u8],
        gpu: Arc<Gpu>,
        on_error: impl Fn(&str) + Send + Sync + 'static,
    ) -> wasmtime::Result<Self> {
        let engine = engine()?;
        let component = Component::new(&engine, component)?;
        let mut linker = Linker::new(&engine);
        webgpu::add_to_linker(&mut linker)?;
        floor::add_to_linker::<State, WebGpu>(&mut linker, State::webgpu)?;
        let webgpu = WebGpuCtx::new(gpu, SceneLimits::default(), on_error);
        let state = State { table: ResourceTable::new(), webgpu };
        let mut store = Store::new(&engine, state);
        store.set_epoch_deadline(NO_DEADLINE);
        let instance = linker.instantiate_async(&mut store, &component).await?;
        let prepare = export::<(), ()>(&mut store, &instance, "prepare")?;
        let mut guest = Self {
            begin: export(&mut store, &instance, "begin")?,
            make: export(&mut store, &instance, "make")?,
            finish: export(&mut store, &instance, "finish")?,
            store,
        };
        call(&mut guest.store, &prepare, ()).await?;
        Ok(guest)
    }

    /// One frame with the work of one side.
    pub(super) async fn frame(&mut self, work: Work, side: Side, clock: Clock) -> wasmtime::Result<Spent> {
        let pass = match work.calls {
            Calls::Dispatch => calls::Pass::Compute,
            _ => calls::Pass::Render,
        };
        let calls = match work.calls {
            Calls::BindAndDraw => calls::Work::BindAndDraw,
            Calls::SetBindGroup => calls::Work::SetBindGroup,
            Calls::Draw => calls::Work::Draw,
            Calls::Dispatch => calls::Work::Dispatch,
            Calls::WriteBuffer(bytes) => calls::Work::WriteBuffer(bytes),
        };
        self.measured(pass, (calls, side, work.count), clock).await
    }

    /// One frame with `count` calls of the floor's function with a borrowed resource and three options.
    pub(super) async fn three_options(&mut self, count: u32, clock: Clock) -> wasmtime::Result<Spent> {
        self.measured(calls::Pass::Render, (calls::Work::ThreeOptions, Side::Floor, count), clock).await
    }

    async fn measured(
        &mut self,
        pass: calls::Pass,
        calls: (calls::Work, Side, u32),
        clock: Clock,
    ) -> wasmtime::Result<Spent> {
        let start_ns = clock.now_ns();
        call(&mut self.store, &self.begin, (pass,)).await?;
        let begun_ns = clock.now_ns();
        call(&mut self.store, &self.make, calls).await?;
        let recorded_ns = clock.now_ns();
        call(&mut self.store, &self.finish, ()).await?;
        let end_ns = clock.now_ns();
        Ok(Spent {
            calls_ns: recorded_ns.saturating_sub(begun_ns),
            frame_ns: end_ns.saturating_sub(start_ns),
        })
    }
}

fn export<P, R>(
    store: &mut Store<State>,
    instance: &Instance,
    name: &str,
) -> wasmtime::Result<TypedFunc<P, R>>
where
    P: ComponentNamedList + Lower,
    R: ComponentNamedList + Lift,
{
    instance.get_typed_func(store, name)
}

/// Calls as a scene's entry point is called.
async fn call<P>(store: &mut Store<State>, func: &TypedFunc<P, ()>, params: P) -> wasmtime::Result<()>
where
    P: ComponentNamedList + Lower + Send + Sync + 'static,
{
    store.run_concurrent(async |accessor| func.call_concurrent(accessor, params).await).await?
}
