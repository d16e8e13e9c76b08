//! Placeholder with the signatures of the compiler, until it is there.

use std::{path::PathBuf, sync::Arc};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    config::CompileConfig,
    error::Problem,
    metrics::Metrics,
    session::{Program, compile},
};

pub struct Compiler(compile::Compiler);

#[derive(Clone, Debug)]
pub enum Component {
    File(PathBuf),
    Bytes(Bytes),
}

pub struct Artifact {
    pub file: std::fs::File,
    pub path: PathBuf,
    pub report: SceneReport,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SceneReport {
    pub bytes: u64,
    pub imports: Vec<Import>,
    pub exports: Vec<String>,
    pub entry_point: Option<String>,
    pub warnings: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Import {
    pub name: String,
    pub offered: bool,
}

#[derive(Debug)]
pub enum CompileError {
    Refused { problem: Problem, report: Box<SceneReport> },
    Internal(String),
}

impl From<CompileError> for Problem {
    fn from(error: CompileError) -> Self {
        match error {
            CompileError::Refused { problem, .. } => problem,
            CompileError::Internal(cause) => Self::internal("Compiling the scene", &cause),
        }
    }
}

impl Compiler {
    pub fn open(program: Program, _: CompileConfig, _: Arc<Metrics>) -> std::io::Result<Self> {
        Ok(Self(compile::Compiler::new(program)))
    }

    pub async fn compile(&self, component: &Component) -> Result<Artifact, CompileError> {
        let Component::File(path) = component else {
            return Err(CompileError::Internal("no bytes yet".to_owned()));
        };
        let refused = |problem| CompileError::Refused { problem, report: Box::default() };
        let artifact = self.0.compile(path).await.map_err(refused)?;
        let file = std::fs::File::open(&artifact).map_err(|e| CompileError::Internal(e.to_string()))?;
        let import = Import { name: "wasi:webgpu/webgpu@0.3.0".to_owned(), offered: true };
        let report = SceneReport {
            imports: vec![import],
            entry_point: Some("start".into()),
            ..SceneReport::default()
        };
        Ok(Artifact { file, path: artifact, report })
    }

    pub async fn inspect(&self, component: &Component) -> Result<SceneReport, CompileError> {
        Ok(self.compile(component).await?.report)
    }
}
