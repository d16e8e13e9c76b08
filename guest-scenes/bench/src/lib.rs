//! What benchmarks run that is no scene for people: the components go to target/scenes/bench/.

/// The interface between such a component and `scenecast bench`, which is the host of no other component.
#[allow(unused_qualifications, clippy::pedantic, reason = "generated")]
pub mod bindings {
    wit_bindgen::generate!({
        path: ["../../wit", "wit"],
        world: "scenecast:bench/hostcalls",
        generate_all,
        pub_export_macro: true,
        default_bindings_module: "bench::bindings",
    });
}
