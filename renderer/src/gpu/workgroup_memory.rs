//! How much workgroup memory a compute shader takes: the one limit of a pipeline that wgpu leaves to the driver, which may take gigabytes
//! for it, or fail.

use wgpu::naga;

use naga::AddressSpace;
use naga::back::PipelineConstants;
use naga::back::pipeline_constants::process_overrides;
use naga::valid::{Capabilities, ValidationFlags, Validator};

/// Each variable begins at a multiple of so many bytes: <https://www.w3.org/TR/webgpu/#dom-supported-limits-maxcomputeworkgroupstoragesize>
const VARIABLE_ALIGNMENT: u64 = 16;

/// Whether a source can have workgroup memory at all. The word is a keyword of WGSL, so few others have it.
pub fn may_use_workgroup_memory(source: &str) -> bool {
    let is_of_word = |character: char| character.is_alphanumeric() || character == '_';
    source.split(|character| !is_of_word(character)).any(|word| word == "workgroup")
}

/// The bytes of workgroup memory of an entry point, or of the only one; `None` where the shader or the constants are wrong, which wgpu says
/// better. It nests as deep as the source does, so it belongs on the compiler's thread.
pub fn workgroup_bytes(source: &str, entry_point: Option<&str>, constants: &[(String, f64)]) -> Option<u64> {
    let module = naga::front::wgsl::parse_str(source).ok()?;
    // Whether the device has what the shader uses is not the question here.
    let info = Validator::new(ValidationFlags::all(), Capabilities::all()).validate(&module).ok()?;
    let mut entry_points = module.entry_points.iter().filter(|entry| {
        entry.stage == naga::ShaderStage::Compute && entry_point.is_none_or(|name| entry.name == name)
    });
    let entry = entry_points.next()?;
    let mut values = PipelineConstants::default();
    values.extend(constants.iter().cloned());
    let (module, info) =
        process_overrides(&module, &info, Some((entry.stage, entry.name.as_str())), &values).ok()?;
    let place = module
        .entry_points
        .iter()
        .position(|other| other.stage == entry.stage && other.name == entry.name)?;
    let uses = info.get_entry_point(place);
    let variables = module
        .global_variables
        .iter()
        .filter(|(handle, variable)| variable.space == AddressSpace::WorkGroup && !uses[*handle].is_empty());
    let mut bytes = 0_u64;
    for (_, variable) in variables {
        // What is too large for a number of 32 bits is too large for every device.
        let ty = module.types.get_handle(variable.ty).ok()?;
        let size = ty.inner.try_size(module.to_ctx()).map_or(u64::MAX, u64::from);
        bytes = bytes.saturating_add(size.checked_next_multiple_of(VARIABLE_ALIGNMENT).unwrap_or(u64::MAX));
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHADER: &str = "
        override n: u32 = 3;
        struct Odd { a: vec3f, b: u32, c: u32 }
        var<workgroup> words: array<u32, n>;
        var<workgroup> odd: Odd;
        var<workgroup> unused: array<vec4f, 1000>;
        fn helper() { odd.b = 1u; }
        @compute @workgroup_size(1) fn small() { words[0] = 1u; }
        @compute @workgroup_size(1) fn both() { words[0] = 1u; helper(); }
        @compute @workgroup_size(1) fn nothing() {}";

    #[test]
    fn an_entry_point_takes_the_memory_of_the_variables_that_it_reaches() {
        let bytes = |entry_point, n: Option<f64>| {
            let constants: Vec<_> = n.map(|n| ("n".to_owned(), n)).into_iter().collect();
            workgroup_bytes(SHADER, Some(entry_point), &constants)
        };
        assert_eq!(bytes("nothing", None), Some(0));
        assert_eq!(bytes("small", None), Some(16));
        assert_eq!(bytes("small", Some(5.0)), Some(32));
        assert_eq!(bytes("both", Some(5.0)), Some(64));
        assert_eq!(bytes("missing", None), None);
        assert_eq!(bytes("small", Some(-1.0)), None);
    }

    #[test]
    fn the_word_is_found_where_it_is_one() {
        assert!(may_use_workgroup_memory("var < workgroup/**/> x: u32;"));
        assert!(!may_use_workgroup_memory("@workgroup_size(1) fn workgroup2() { workgroupBarrier(); }"));
    }
}
