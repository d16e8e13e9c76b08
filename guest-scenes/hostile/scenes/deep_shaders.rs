//! Tries: the three shapes of small valid WGSL that overflow a compiler's stack, at 2 and at 20 times the size that is too much for
//! 2 MiB of it, through modules, pipelines of both ways and compilation messages; and a source of 10 MB.
//!
//! Must happen: each is compiled or refused with an error, and the long source before it is parsed. Nothing aborts.

use conformance::webgpu::*;
use conformance::{Error, Topic};
use hostile::Ticks;

conformance::export_topic!(run);

/// Sizes at which naga overflows a stack of 2 MiB.
const TERMS: usize = 3630;
const ARMS: usize = 1620;
const STRUCTS: usize = 3630;

async fn run(topic: &mut Topic) {
    let mut ticks = Ticks::begin();
    for times in [2, 20] {
        for (name, code) in [
            ("a sum", sum(times * TERMS)),
            ("a chain of else-if", chain(times * ARMS)),
            ("nested structs", structs(times * STRUCTS)),
        ] {
            compile(topic, &format!("{name}, {times} times too deep"), &code).await;
            ticks.next().await;
        }
    }
    let (long, error) = topic.catching(|device| module(device, &" ".repeat(10_000_000))).await;
    let refused = |error: &Error| error.message.contains("10000000 bytes");
    topic.check("10 MB of source are refused by their size", error.as_ref().is_some_and(refused));
    let messages = long.get_compilation_info().await.messages();
    topic.check(
        "the messages say so too",
        messages.iter().any(|message| message.message().contains("10000000 bytes")),
    );
    topic
        .valid("the next shader is compiled", |device| {
            module(device, "@compute @workgroup_size(1) fn main() {}")
        })
        .await;
}

fn module(device: &GpuDevice, code: &str) -> GpuShaderModule {
    device.create_shader_module(&GpuShaderModuleDescriptor {
        code: code.into(),
        compilation_hints: None,
        label: None,
    })
}

fn pipeline(module: &GpuShaderModule) -> GpuComputePipelineDescriptor<'_> {
    GpuComputePipelineDescriptor {
        compute: GpuProgrammableStage { module, entry_point: None, constants: None },
        layout: GpuLayoutMode::Auto,
        label: None,
    }
}

async fn compile(topic: &mut Topic, name: &str, code: &str) {
    let (module, error) = topic.catching(|device| module(device, code)).await;
    let messages = module.get_compilation_info().await.messages();
    let is_error = |message: &GpuCompilationMessage| message.type_() == GpuCompilationMessageType::Error;
    topic.equal(
        &format!("{name}: the messages have an error if there was one"),
        messages.iter().any(is_error),
        error.is_some(),
    );
    let (_, sync_error) = topic.catching(|device| device.create_compute_pipeline(pipeline(&module))).await;
    let made = topic.device().create_compute_pipeline_async(pipeline(&module)).await;
    topic.equal(&format!("{name}: both ways to a pipeline agree"), made.is_err(), sync_error.is_some());
    topic.check(
        &format!("{name}: a module that is wrong makes no pipeline"),
        error.is_none() || made.is_err(),
    );
}

fn sum(terms: usize) -> String {
    format!(
        "@group(0) @binding(0) var<storage, read_write> x: u32;\n\
         @compute @workgroup_size(1) fn main() {{ x = {}x; }}",
        "x+".repeat(terms)
    )
}

fn chain(arms: usize) -> String {
    format!(
        "@group(0) @binding(0) var<storage, read_write> x: u32;\n\
         @compute @workgroup_size(1) fn main() {{ if x == 0u {{ }} {} }}",
        "else if x == 1u { x = 2u; } ".repeat(arms)
    )
}

fn structs(depth: usize) -> String {
    use core::fmt::Write as _;
    let mut code = String::from("struct S0 { a: u32 }\n");
    for number in 1..depth {
        writeln!(code, "struct S{number} {{ a: S{} }}", number - 1).expect("a string takes it");
    }
    write!(
        code,
        "@group(0) @binding(0) var<storage, read_write> x: S{};\n@compute @workgroup_size(1) fn main() {{ _ = &x; }}",
        depth - 1
    )
    .expect("a string takes it");
    code
}
