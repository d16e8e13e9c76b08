//! Shaders and pipelines: what the compiler's own thread holds, and where errors go.

use super::*;

/// Of a shader's source.
const MAX_SHADER_BYTES: usize = 256 << 10;

/// A host call runs on a fiber with about this much stack.
const FIBER_BYTES: usize = 1024 * 1024;

/// Compiles shaders on a stack like a host call's, drops them there, and returns the errors.
fn compile_on_a_small_stack(shaders: Vec<String>) -> Vec<String> {
    let compile = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut scene = runtime.block_on(Scene::new());
        for code in shaders {
            let module = scene.shader(code);
            let compute = GpuProgrammableStage { module: lend(&module), entry_point: None, constants: None };
            let descriptor =
                GpuComputePipelineDescriptor { compute, layout: GpuLayoutMode::Auto, label: None };
            let device = scene.device();
            let pipeline = scene.view().create_compute_pipeline(device, descriptor).unwrap();
            HostGpuShaderModule::drop(&mut scene.view(), module).unwrap();
            HostGpuComputePipeline::drop(&mut scene.view(), pipeline).unwrap();
        }
        scene.errors()
    };
    std::thread::Builder::new().stack_size(FIBER_BYTES).spawn(compile).unwrap().join().unwrap()
}

fn main_of(body: &str) -> String {
    format!(
        "@group(0) @binding(0) var<storage, read_write> x: u32; @compute @workgroup_size(1) fn main() {{ {body} }}"
    )
}

#[test]
fn long_sums_and_deep_nesting_compile_and_do_not_end_the_process() {
    let sum = main_of(&format!("x = {}x;", "x+".repeat(7_260)));
    let chain = main_of(&format!(
        "if x == 0 {{ x = 1; }} {}",
        "else if x == 1 { x = 2; }".repeat(MAX_SHADER_NESTING - 3)
    ));
    let constant = format!("const c = {}1;{}", "1+".repeat(MAX_SHADER_BYTES / 2 - 200), main_of("x = c;"));
    let negation = format!("const c = {}true;{}", "!".repeat(MAX_SHADER_BYTES - 200), main_of("x = 1;"));
    assert_eq!(compile_on_a_small_stack(vec![sum, chain, constant, negation]), Vec::<String>::new());
}

#[tokio::test]
async fn a_shader_that_is_too_long_is_a_validation_error() {
    let mut scene = Scene::new().await;
    scene.refused("at most", |scene| {
        scene.shader(main_of(&format!("x = {}x;", "x+".repeat(MAX_FUNCTION_BYTES))));
    });
}

#[tokio::test]
async fn errors_of_asynchronous_pipelines_are_their_answers_and_no_others() {
    let mut scene = Scene::new().await;
    let module = scene.shader(RED);
    let mut descriptor = Scene::pipeline_descriptor(&module);
    descriptor.vertex.entry_point = Some("missing".to_owned());
    let right = Scene::pipeline_descriptor(&module);
    let device = scene.device();
    let (wrong, right) = call(&mut scene.store, async |host| {
        (
            WebGpu::create_render_pipeline_async(host, lend(&device), descriptor).await.unwrap(),
            WebGpu::create_render_pipeline_async(host, lend(&device), right).await.unwrap(),
        )
    })
    .await;
    assert!(matches!(
        wrong.unwrap_err().kind,
        CreatePipelineErrorKind::GpuPipelineError(GpuPipelineErrorReason::Validation)
    ));
    assert!(right.is_ok());
    assert_eq!(scene.errors(), Vec::<String>::new());
}
