//! Labels of objects, and of groups and markers in commands (<https://www.w3.org/TR/webgpu/#gpuobjectbase>): they are kept for as
//! long as what they name, here and in wgpu, so none is kept as long as a scene may make it.

/// A label is cut here. It is a name, for error messages that are read by people.
pub(super) const MAX_LABEL_BYTES: usize = 1024;

/// The longest shader that any setting accepts.
const MAX_ENTRY_POINT_BYTES: usize = 256 << 10;

/// A label, cut to [`MAX_LABEL_BYTES`].
pub(super) fn bounded(mut label: String) -> String {
    label.truncate(label.floor_char_boundary(MAX_LABEL_BYTES));
    // A cut string keeps its memory otherwise.
    label.shrink_to_fit();
    label
}

/// The name of an entry point, which waits with its pipeline for the compiler. One that is longer than any shader is the name of nothing, and
/// so is its beginning.
pub(super) fn entry_point(mut name: String) -> String {
    name.truncate(name.floor_char_boundary(MAX_ENTRY_POINT_BYTES));
    name.shrink_to_fit();
    name
}

/// The label of a descriptor; what has none has the empty one.
pub(super) fn of(label: Option<String>) -> String {
    label.map(bounded).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_cut_between_characters_and_gives_its_memory_back() {
        assert_eq!(of(None), "");
        assert_eq!(of(Some("a name".to_owned())), "a name");
        let cut = bounded("x".to_owned() + &"\u{e4}".repeat(1 << 20));
        assert_eq!(cut.len(), MAX_LABEL_BYTES - 1);
        assert!(cut.capacity() < 2 * MAX_LABEL_BYTES);
    }

    #[test]
    fn an_entry_point_keeps_its_name_unless_no_shader_can_have_it() {
        let name = "n".repeat(MAX_ENTRY_POINT_BYTES);
        assert_eq!(entry_point(name.clone()), name);
        assert!(entry_point(name.repeat(100)).capacity() < 2 * MAX_ENTRY_POINT_BYTES);
    }
}
