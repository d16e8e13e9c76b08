//! Labels of everything that has one.

use crate::World;
use crate::values::Values as _;

macro_rules! labelled {
    ($($pool:ident)*) => {
        const POOLS: usize = [$(stringify!($pool)),*].len();

        pub fn read(world: &mut World) {
            let chosen = world.random.below(POOLS);
            let mut number = 0..;
            $(
                if number.next() == Some(chosen) && let Some(object) = world.objects.$pool.any(&mut world.random) {
                    drop(object.label());
                }
            )*
        }

        pub fn write(world: &mut World) {
            let label = world.random.text();
            let chosen = world.random.below(POOLS);
            let mut number = 0..;
            $(
                if number.next() == Some(chosen) && let Some(object) = world.objects.$pool.any(&mut world.random) {
                    object.set_label(&label);
                }
            )*
        }
    };
}

labelled! {
    devices queues buffers textures views samplers bind_group_layouts pipeline_layouts bind_groups modules compute_pipelines
    render_pipelines query_sets encoders compute_passes render_passes bundle_encoders bundles command_buffers
}
