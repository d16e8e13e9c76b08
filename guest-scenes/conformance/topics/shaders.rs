//! Shader modules and what their compiler says: <https://www.w3.org/TR/webgpu/#shader-modules>

use conformance::webgpu::{
    GpuCompilationMessageType, GpuErrorFilter, GpuLayoutMode, GpuPipelineLayoutDescriptor, GpuShaderModule,
    GpuShaderModuleCompilationHint, GpuShaderModuleDescriptor,
};
use conformance::{Topic, pipeline};

conformance::export_topic!(run);

async fn run(topic: &mut Topic) {
    right_shaders(topic).await;
    places(topic).await;
    errors_without_a_place(topic).await;
    entry_points(topic).await;
    hints(topic).await;
}

#[derive(Debug, PartialEq)]
struct Message {
    is_error: bool,
    line: u64,
    position: u64,
    offset: u64,
    length: u64,
}

async fn messages(module: &GpuShaderModule) -> Vec<(Message, String)> {
    let info = module.get_compilation_info().await;
    let messages = info.messages().into_iter();
    messages
        .map(|message| {
            let place = Message {
                is_error: matches!(message.type_(), GpuCompilationMessageType::Error),
                line: message.line_num(),
                position: message.line_pos(),
                offset: message.offset(),
                length: message.length(),
            };
            (place, message.message())
        })
        .collect()
}

async fn right_shaders(topic: &mut Topic) {
    for code in [
        "",
        "// nothing",
        "@compute @workgroup_size(1) fn main() {}",
        "@vertex fn a() -> @builtin(position) vec4f { return vec4f(); } @fragment fn b() {}",
        "const \u{394} = 1;\u{85}const \u{6570} = \u{394};\u{2028}/* \u{1f600} /* nested */ */ alias t = u32;\r\n",
        "diagnostic(off, derivative_uniformity); @compute @workgroup_size(1) fn main() {}",
    ] {
        let module = topic
            .valid(&format!("the shader {code:?} is right"), |device| {
                device.create_shader_module(&GpuShaderModuleDescriptor {
                    code: code.into(),
                    compilation_hints: None,
                    label: None,
                })
            })
            .await;
        let errors = messages(&module).await.into_iter().filter(|(message, _)| message.is_error).count();
        topic.equal("and its compiler has no error to tell", errors, 0);
    }
}

/// A mistake in a source, marked by `‹` and `›`, which are taken out.
struct Mistake {
    code: String,
    place: Message,
}

/// Where a marked part of a source is, in the units of <https://www.w3.org/TR/webgpu/#gpucompilationmessage>.
fn mistake(marked: &str) -> Mistake {
    let (before, rest) = marked.split_once('\u{2039}').expect("the mistake is marked");
    let (wrong, after) = rest.split_once('\u{203a}').expect("the mistake is marked");
    let units = |text: &str| text.encode_utf16().count() as u64;
    // The line breaks of https://www.w3.org/TR/WGSL/#line-break; a carriage return and a line feed are one.
    let lines = before.replace("\r\n", "\n");
    let is_break =
        |c: char| matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}');
    let line = lines.chars().filter(|c| is_break(*c)).count() as u64 + 1;
    let line_start =
        before.rfind(is_break).map_or(0, |at| at + before[at..].chars().next().map_or(0, char::len_utf8));
    Mistake {
        code: format!("{before}{wrong}{after}"),
        place: Message {
            is_error: true,
            line,
            position: units(&before[line_start..]) + 1,
            offset: units(before),
            length: units(wrong),
        },
    }
}

async fn places(topic: &mut Topic) {
    let sources = [
        "const a = ‹missing›;",
        "// ä\nconst a = ‹missing›;",
        "// \u{1f600} two units and four bytes\nconst a = 1;\n  const b = ‹missing›;\n",
        "const \u{394}\u{6570} = 1; const a = ‹missing›;",
        "/* \u{1f600}\u{1f600} */ const a = ‹missing›;",
        "const a = 1;\r\nconst b = 2;\r\n\r\n\tconst c = ‹missing›;",
        "const a = 1;\rconst c = ‹missing›;",
        "const a = 1;\u{b}const b = 1;\u{c}const c = 1;\u{85}const d = 1;\u{2028}const e = 1;\u{2029} const f = ‹missing›;",
        "fn f() -> u32 { return ‹\u{394}\u{394}›; }",
    ];
    for source in sources {
        let Mistake { code, place } = mistake(source);
        let module = topic
            .invalid(&format!("the shader {code:?}"), |device| {
                device.create_shader_module(&GpuShaderModuleDescriptor {
                    code: code.clone(),
                    compilation_hints: None,
                    label: None,
                })
            })
            .await;
        let messages = messages(&module).await;
        topic.check("an error has a text", messages.iter().all(|(_, text)| !text.is_empty()));
        let found: Vec<_> = messages.into_iter().map(|(place, _)| place).collect();
        topic.check(
            &format!("the mistake of {code:?} is told with its place: {found:?}, expected {place:?}"),
            found.contains(&place),
        );
    }
    // A mistake of types is found later than one of words, and told alike.
    let Mistake { code, place } = mistake("// \u{1f600}\r\nfn f() -> u32 {\r\n  ‹return 1.5;›\r\n}");
    let module = topic
        .invalid("a shader with a mistake of types", |device| {
            device.create_shader_module(&GpuShaderModuleDescriptor {
                code: code.clone(),
                compilation_hints: None,
                label: None,
            })
        })
        .await;
    let found = messages(&module).await;
    topic.check(
        &format!("is told on its line: {found:?}, expected {place:?}"),
        found.iter().any(|(message, _)| {
            message.is_error && message.line == 3 && message.offset >= place.offset && message.length > 0
        }),
    );
    let first = messages(&module).await;
    topic.equal("and told again to who asks again", first, found);
}

async fn errors_without_a_place(topic: &mut Topic) {
    let long = format!("// {}", "x".repeat(300 * 1024));
    let deep = format!("fn f() {{ {} {} }}", "{".repeat(2000), "}".repeat(2000));
    for (what, code) in [("a source that is too long", long), ("a source that nests too deep", deep)] {
        let module = topic
            .invalid(what, |device| {
                device.create_shader_module(&GpuShaderModuleDescriptor {
                    code,
                    compilation_hints: None,
                    label: None,
                })
            })
            .await;
        let found = messages(&module).await;
        topic.check("is told", !found.is_empty() && found.iter().all(|(message, _)| message.is_error));
        for (message, _) in found {
            topic.equal(
                "an error that has no place has zeros for it",
                message,
                Message { is_error: true, line: 0, position: 0, offset: 0, length: 0 },
            );
        }
    }
}

/// <https://www.w3.org/TR/webgpu/#abstract-opdef-get-the-entry-point>
async fn entry_points(topic: &mut Topic) {
    let module = topic.shader(
        "@compute @workgroup_size(1) fn one() {}
         @fragment fn other() {}
         fn helper() {}",
    );
    let several =
        topic.shader("@compute @workgroup_size(1) fn one() {} @compute @workgroup_size(1) fn two() {}");
    let unicode = topic.shader("@compute @workgroup_size(1) fn \u{394}\u{6570}() {}");
    let with = |module, name: Option<&str>| {
        let mut descriptor = pipeline(module);
        descriptor.compute.entry_point = name.map(Into::into);
        descriptor
    };
    topic
        .valid("the only entry point of a stage needs no name", |device| {
            device.create_compute_pipeline(with(&module, None))
        })
        .await;
    topic
        .valid("an entry point is named", |device| device.create_compute_pipeline(with(&module, Some("one"))))
        .await;
    topic
        .valid("one of several is named", |device| {
            device.create_compute_pipeline(with(&several, Some("two")))
        })
        .await;
    topic
        .valid("a name may have any letters", |device| {
            device.create_compute_pipeline(with(&unicode, Some("\u{394}\u{6570}")))
        })
        .await;
    for (what, module, name) in [
        ("a name that is missing", &module, Some("missing")),
        ("the name of another stage", &module, Some("other")),
        ("the name of no entry point", &module, Some("helper")),
        ("an empty name", &module, Some("")),
        ("a name with a NUL", &module, Some("one\0")),
        ("no name for one of several", &several, None),
    ] {
        topic
            .fails(what, GpuErrorFilter::Validation, |device| {
                device.create_compute_pipeline(with(module, name))
            })
            .await;
    }
}

/// Hints may be used or not; they change nothing: <https://www.w3.org/TR/webgpu/#dictdef-gpushadermodulecompilationhint>
async fn hints(topic: &mut Topic) {
    let layout = topic.device().create_pipeline_layout(&GpuPipelineLayoutDescriptor {
        bind_group_layouts: Vec::new(),
        immediate_size: None,
        label: None,
    });
    let module = topic
        .valid("hints may be right or wrong", |device| {
            let hints = [
                ("main", Some(GpuLayoutMode::Auto)),
                ("main", Some(GpuLayoutMode::Specific(&layout))),
                ("missing", None),
            ];
            device.create_shader_module(&GpuShaderModuleDescriptor {
                code: "@compute @workgroup_size(1) fn main() {}".into(),
                compilation_hints: Some(
                    hints
                        .into_iter()
                        .map(|(entry_point, layout)| GpuShaderModuleCompilationHint {
                            entry_point: entry_point.into(),
                            layout,
                        })
                        .collect(),
                ),
                label: None,
            })
        })
        .await;
    topic
        .valid("and the shader is the same", |device| device.create_compute_pipeline(pipeline(&module)))
        .await;
}
