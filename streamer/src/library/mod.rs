//! The scenes that can be run: the components in one folder.
//!
//! Knows names and files. It never reads a component: that is the compiler's.

use std::{fmt, path::PathBuf, str::FromStr};

use serde::Serialize;

use crate::error::{Code, Problem};

/// A name longer than this is no name, and would not fit into a page.
const MAX_NAME_BYTES: usize = 64;
/// A gallery of more is not a gallery; the rest is left out and the log says so.
const MAX_LISTED: usize = 1_000;

/// The name of a scene: lower-case letters, digits, `.`, `_` and `-`, beginning with a letter or digit. It can be part of a path
/// or an address as it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct SceneName(String);

/// A text that is no [`SceneName`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a scene's name has 1 to {MAX_NAME_BYTES} lower-case letters, digits, '.', '_' or '-', and begins with a letter or digit"
)]
pub struct BadSceneName;

impl SceneName {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SceneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for SceneName {
    type Err = BadSceneName;

    fn from_str(text: &str) -> Result<Self, BadSceneName> {
        let is_start = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let is_name = text.len() <= MAX_NAME_BYTES
            && text.bytes().next().is_some_and(is_start)
            && text.bytes().all(|byte| is_start(byte) || matches!(byte, b'.' | b'_' | b'-'));
        if is_name { Ok(Self(text.to_owned())) } else { Err(BadSceneName) }
    }
}

/// One line of the gallery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SceneEntry {
    /// Its name.
    pub name: SceneName,
    /// The length of its file.
    pub bytes: u64,
}

/// The components of one folder.
#[derive(Clone, Debug)]
pub struct Library {
    folder: PathBuf,
}

impl Library {
    /// Fails when there is no such folder.
    pub fn open(folder: PathBuf) -> Result<Self, std::io::Error> {
        // Listing is what will be needed.
        std::fs::read_dir(&folder)?;
        Ok(Self { folder })
    }

    /// All scenes, by name.
    pub async fn list(&self) -> Result<Vec<SceneEntry>, Problem> {
        self.try_list().await.map_err(|error| Problem::internal("Listing the scenes", &error))
    }

    async fn try_list(&self) -> std::io::Result<Vec<SceneEntry>> {
        let mut files = tokio::fs::read_dir(&self.folder).await?;
        let mut scenes = Vec::new();
        while let Some(file) = files.next_entry().await? {
            let file_name = file.file_name();
            let name = file_name
                .to_str()
                .and_then(|name| name.strip_suffix(".wasm"))
                .and_then(|name| name.parse().ok());
            let Some(name) = name else { continue };
            // A file that was taken away in between is not there.
            let Ok(metadata) = tokio::fs::metadata(file.path()).await else { continue };
            if !metadata.is_file() {
                continue;
            }
            if scenes.len() == MAX_LISTED {
                tracing::warn!(folder = %self.folder.display(), "only the first {MAX_LISTED} scenes are listed");
                break;
            }
            scenes.push(SceneEntry { name, bytes: metadata.len() });
        }
        scenes.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(scenes)
    }

    /// Where a scene's component is.
    pub async fn path_of(&self, name: &SceneName) -> Result<PathBuf, Problem> {
        let path = self.folder.join(format!("{name}.wasm"));
        match tokio::fs::metadata(&path).await {
            Ok(metadata) if metadata.is_file() => Ok(path),
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Problem::internal("Looking for the scene", &error))
            }
            _ => Err(unknown_scene(name.as_str())),
        }
    }
}

/// The answer for a name that names nothing.
pub fn unknown_scene(name: &str) -> Problem {
    let name: String = name.chars().take(MAX_NAME_BYTES).collect();
    Problem::new(
        Code::UnknownScene,
        format!("There is no scene {name:?}; GET /api/scenes lists those that are."),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_folder() {
        for name in [
            "",
            ".",
            "..",
            ".hidden",
            "../orbit",
            "a/b",
            "a\\b",
            "Orbit",
            "ör",
            "a b",
            "a\0",
            "-a",
            &"a".repeat(65),
        ] {
            assert_eq!(name.parse::<SceneName>(), Err(BadSceneName), "{name:?}");
        }
        for name in ["orbit", "0", "a..b", "my_scene-2.1", &"a".repeat(64)] {
            assert!(name.parse::<SceneName>().is_ok(), "{name:?}");
        }
    }

    #[tokio::test]
    async fn the_list_has_the_components_by_name_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["orbit.wasm", "cube.wasm", "notes.txt", "UPPER.wasm", ".wasm"] {
            std::fs::write(folder.path().join(file), "1234").unwrap();
        }
        std::fs::create_dir(folder.path().join("folder.wasm")).unwrap();
        let library = Library::open(folder.path().to_owned()).unwrap();
        let list = library.list().await.unwrap();
        assert_eq!(
            serde_json::to_string(&list).unwrap(),
            r#"[{"name":"cube","bytes":4},{"name":"orbit","bytes":4}]"#
        );
    }

    #[tokio::test]
    async fn a_name_without_a_file_is_an_unknown_scene() {
        let folder = tempfile::tempdir().unwrap();
        let library = Library::open(folder.path().to_owned()).unwrap();
        let problem = library.path_of(&"orbit".parse().unwrap()).await.unwrap_err();
        assert_eq!(problem.code, Code::UnknownScene);
        assert!(problem.detail.contains("orbit"));
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        assert!(Library::open("/nowhere/at/all".into()).is_err());
    }
}
