//! What is kept of an uploaded scene beside its bytes.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::compiler::SceneReport;

/// Imports and warnings of a scene that are kept, each; scenes have some thirty.
const MAX_NAMES: usize = 64;

/// What is known about an uploaded scene.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Details {
    /// As it is shown.
    pub(super) name: String,
    /// Who uploaded it.
    pub(super) owner: String,
    /// The component's length.
    pub(super) bytes: u64,
    /// When.
    pub(super) uploaded_at: DateTime<Utc>,
    /// What the check said.
    pub(super) checked: Checked,
}

/// What the check said of a scene that can be run. Kept for years: members can be added, with a default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Checked {
    /// Names of what it imports.
    pub imports: Vec<String>,
    /// The export that is called.
    pub entry_point: Option<String>,
    /// What its author may want to know.
    pub warnings: Vec<String>,
}

impl From<SceneReport> for Checked {
    fn from(report: SceneReport) -> Self {
        Self {
            imports: report.imports.into_iter().map(|import| import.name).take(MAX_NAMES).collect(),
            entry_point: report.entry_point,
            warnings: report.warnings.into_iter().take(MAX_NAMES).collect(),
        }
    }
}
