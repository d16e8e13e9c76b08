//! A core module becomes a component.

use std::fmt;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use wit_component::ComponentEncoder;

/// What became of a component's file.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Written {
    bytes: usize,
    changed: bool,
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.changed { "new" } else { "unchanged" };
        write!(f, "{} KiB, {state}", self.bytes.div_ceil(1024))
    }
}

/// Wraps the core module in the file `module` into a component, checks it, and writes it to `component`. A file that has these bytes
/// already is left alone, so that whoever watches it sees a change only when there is one.
pub(crate) fn write(module: &Path, component: &Path) -> Result<Written> {
    let bytes = std::fs::read(module).with_context(|| format!("cannot read {}", module.display()))?;
    let encoded = ComponentEncoder::default().module(&bytes)?.validate(true).encode()?;
    let written = Written {
        bytes: encoded.len(),
        changed: !std::fs::read(component).is_ok_and(|present| present == encoded),
    };
    if written.changed {
        replace(component, &encoded).with_context(|| format!("cannot write {}", component.display()))?;
    }
    Ok(written)
}

/// Writes a file so that a reader sees either the old or the new one, whole: a running server may read it at any time.
fn replace(file: &Path, bytes: &[u8]) -> Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut new = tempfile::Builder::new().prefix(".scene-").suffix(".part").tempfile_in(folder)?;
    new.write_all(bytes)?;
    // A temporary file is private by default; a component may be read by anyone.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        new.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    new.persist(file)?;
    Ok(())
}
