//! The calls, a file for each part of the interface. Each takes what it needs from the pools, and does nothing when there is none of it.

pub mod canvases;
pub mod commands;
pub mod devices;
pub mod names;
pub mod passes;
pub mod pictures;
pub mod pipelines;
pub mod resources;
pub mod surfaces;

use crate::World;

pub type Call = (&'static str, fn(&mut World));

/// Takes an object of a pool.
macro_rules! take {
    ($world:ident.$pool:ident) => {
        match $world.objects.$pool.any(&mut $world.random) {
            Some(object) => object,
            None => return,
        }
    };
}

/// Puts an object into a pool.
macro_rules! keep {
    ($world:ident.$pool:ident, $object:expr) => {{
        let object = $object;
        $world.objects.$pool.add(&mut $world.random, object)
    }};
}

/// Functions with their names.
macro_rules! calls {
    ($($call:path,)*) => {
        &[$((stringify!($call), $call)),*]
    };
}

use {keep, take};

/// What stands here twice is called twice as often.
pub const CALLS: &[Call] = calls![
    devices::properties,
    devices::request_adapter,
    devices::request_device,
    devices::record_of_limits,
    devices::queue,
    devices::destroy,
    devices::push_error_scope,
    devices::pop_error_scope,
    devices::lost,
    devices::uncaptured_errors,
    devices::read_error,
    devices::uncaptured_error_events,
    devices::read_error_event,
    names::read,
    names::write,
    resources::create_buffer,
    resources::create_buffer,
    resources::buffer_properties,
    resources::map,
    resources::map,
    resources::get_mapped_range,
    resources::set_mapped_range,
    resources::unmap,
    resources::destroy_buffer,
    resources::create_texture,
    resources::create_texture,
    resources::texture_properties,
    resources::create_view,
    resources::create_view,
    resources::destroy_texture,
    resources::create_sampler,
    resources::create_query_set,
    resources::query_set_properties,
    pipelines::create_bind_group_layout,
    pipelines::create_pipeline_layout,
    pipelines::create_bind_group,
    pipelines::create_shader_module,
    pipelines::create_shader_module,
    pipelines::compilation_info,
    pipelines::compilation_message,
    pipelines::record_of_constants,
    pipelines::create_compute_pipeline,
    pipelines::create_compute_pipeline_async,
    pipelines::create_render_pipeline,
    pipelines::create_render_pipeline_async,
    pipelines::compute_pipeline_layout,
    pipelines::render_pipeline_layout,
    pipelines::right_ones,
    commands::create_encoder,
    commands::create_encoder,
    commands::begin_compute_pass,
    commands::begin_compute_pass,
    commands::begin_render_pass,
    commands::begin_render_pass,
    commands::copy_buffer,
    commands::copy_buffer_to_texture,
    commands::copy_texture_to_buffer,
    commands::copy_texture,
    commands::clear_buffer,
    commands::resolve_query_set,
    commands::debug_group,
    commands::finish,
    commands::finish,
    commands::submit,
    commands::submit,
    commands::work_done,
    commands::write_buffer,
    commands::write_texture,
    commands::right_frame,
    passes::compute,
    passes::compute,
    passes::compute,
    passes::end_compute,
    passes::render,
    passes::render,
    passes::render,
    passes::end_render,
    passes::create_bundle_encoder,
    passes::bundle,
    passes::bundle,
    passes::finish_bundle,
    passes::execute_bundles,
    surfaces::create,
    surfaces::properties,
    surfaces::open_events,
    surfaces::configure,
    surfaces::current_texture,
    surfaces::present,
    canvases::open,
    canvases::configure,
    canvases::configuration,
    canvases::current_texture,
    pictures::open,
    pictures::current_buffer,
    pictures::set,
    pictures::get,
    pictures::present,
];
