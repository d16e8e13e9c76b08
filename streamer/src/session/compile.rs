//! The step before a session: a short-lived process turns the scene into native code in the cache, or says why it cannot be run.
//!
//! It is a process because compiling is where a hostile component can take any amount of time and memory. Its output is checked
//! like a worker's.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{io::AsyncReadExt, sync::Semaphore, time::timeout};
use tracing::Instrument;

use super::process::{Program, describe_exit, log_stderr};
use crate::{
    error::{Code, Problem},
    text::escape_untrusted,
};

/// The largest components known, 20 MB of Python, take 8 to 23 s on two slow cores.
const COMPILE_TIMEOUT: Duration = Duration::from_mins(1);
/// Each uses all cores; more at once only take longer each.
const CONCURRENT_COMPILES: usize = 2;
/// Threads of one compilation; a bound on the memory that a machine with many cores would give it.
const COMPILE_THREADS: &str = "8";
/// A report is a path or a sentence.
const MAX_REPORT_BYTES: u64 = 64 << 10;
/// A sentence that names an import; what is longer is cut.
const MAX_MESSAGE_BYTES: usize = 2048;

/// The one line of JSON that `scenecast compile` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CompileReport {
    /// It can be run.
    Ok {
        /// The compiled scene in the cache.
        artifact: PathBuf,
    },
    /// It cannot be run here, and that is the scene's fault.
    Refused {
        /// One of the `scene_…` codes of docs/viewer-protocol.md.
        code: String,
        /// What is wrong, and with what.
        message: String,
    },
}

/// Compiles scenes, a few at a time.
pub struct Compiler {
    program: Program,
    permits: Semaphore,
}

impl Compiler {
    /// One that starts `program`.
    pub fn new(program: Program) -> Self {
        Self { program, permits: Semaphore::new(CONCURRENT_COMPILES) }
    }

    /// The compiled form of a scene: from the cache, or made now. Dropping the future ends the process.
    pub async fn compile(&self, scene: &Path) -> Result<PathBuf, Problem> {
        // The semaphore is never closed; if it were, compiling without a permit would do no harm.
        let _permit = self.permits.acquire().await;
        let run = timeout(COMPILE_TIMEOUT, self.run(scene)).await;
        let (output, status) = match run {
            Ok(Ok(done)) => done,
            Ok(Err(error)) => return Err(Problem::internal("Compiling the scene", &error)),
            Err(_) => {
                let detail = format!("The scene was not compiled after {} s.", COMPILE_TIMEOUT.as_secs());
                return Err(Problem::new(Code::SceneUncompilable, detail));
            }
        };
        match read_report(&output) {
            Some(CompileReport::Ok { artifact }) => self.checked_artifact(artifact),
            Some(CompileReport::Refused { code, message }) => Err(refusal(&code, &message)),
            None if status.code().is_none() => Err(Problem::new(
                Code::SceneUncompilable,
                format!("The compiler process died of this scene: {}.", describe_exit(status)),
            )),
            None => Err(Problem::internal(
                "Compiling the scene",
                &format!("no report, {}", describe_exit(status)),
            )),
        }
    }

    async fn run(&self, scene: &Path) -> std::io::Result<(Vec<u8>, std::process::ExitStatus)> {
        let mut command = self.program.command("compile");
        command.arg(scene).arg("--cache").arg(self.program.cache_dir());
        command.env("RAYON_NUM_THREADS", COMPILE_THREADS).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(log_stderr(stderr, "compile").in_current_span());
        }
        let mut output = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            // Whatever follows is not read: the process then ends at a closed pipe.
            stdout.take(MAX_REPORT_BYTES).read_to_end(&mut output).await?;
        }
        Ok((output, child.wait().await?))
    }

    /// A worker will execute what this path names, so it must be a file in the cache.
    fn checked_artifact(&self, artifact: PathBuf) -> Result<PathBuf, Problem> {
        let inside = || -> std::io::Result<bool> {
            let cache = self.program.cache_dir().canonicalize()?;
            Ok(artifact.canonicalize()?.starts_with(cache))
        };
        match inside() {
            Ok(true) => Ok(artifact),
            Ok(false) => {
                Err(Problem::internal("Compiling the scene", &"the artifact is outside of the cache"))
            }
            Err(error) => Err(Problem::internal("Compiling the scene", &error)),
        }
    }
}

fn read_report(output: &[u8]) -> Option<CompileReport> {
    let line = output.split(|byte| *byte == b'\n').next()?;
    serde_json::from_slice(line).ok()
}

fn refusal(code: &str, message: &str) -> Problem {
    let code = [
        Code::SceneNotWasm,
        Code::SceneCoreModule,
        Code::SceneImportNotOffered,
        Code::SceneNoEntryPoint,
        Code::SceneUncompilable,
    ]
    .into_iter()
    .find(|known| known.name() == code)
    .unwrap_or(Code::SceneUncompilable);
    let message = escape_untrusted(message);
    Problem::new(code, &message[..message.floor_char_boundary(MAX_MESSAGE_BYTES)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_has_the_documented_form() {
        let ok = CompileReport::Ok { artifact: "/cache/x.cwasm".into() };
        assert_eq!(serde_json::to_string(&ok).unwrap(), r#"{"ok":{"artifact":"/cache/x.cwasm"}}"#);
        let refused = br#"{"refused":{"code":"scene_core_module","message":"wrap it"}}
"#;
        assert_eq!(
            read_report(refused),
            Some(CompileReport::Refused { code: "scene_core_module".into(), message: "wrap it".into() })
        );
    }

    #[test]
    fn what_is_no_report_is_none() {
        for output in ["", "\n", "{", "{}", "[]", r#"{"ok":{}}"#, "warning\n{\"ok\":{\"artifact\":\"/x\"}}"] {
            assert_eq!(read_report(output.as_bytes()), None, "{output:?}");
        }
    }

    #[test]
    fn a_refusal_keeps_its_code_and_an_unknown_one_is_uncompilable() {
        for code in [
            "scene_not_wasm",
            "scene_core_module",
            "scene_import_not_offered",
            "scene_no_entry_point",
            "scene_uncompilable",
        ] {
            let problem = refusal(code, "why");
            assert_eq!((problem.code.name(), problem.code.status().as_u16()), (code, 422));
        }
        assert_eq!(refusal("draining", "why").code, Code::SceneUncompilable);
    }

    #[test]
    fn a_refusal_is_cut_and_escaped() {
        let problem = refusal("scene_not_wasm", &format!("\u{1b}[2J{}", "é".repeat(10_000)));
        assert!(problem.detail.len() <= MAX_MESSAGE_BYTES);
        assert!(problem.detail.starts_with("\\u{1b}[2J"));
    }
}
