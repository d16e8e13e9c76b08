//! Waiting for what must come true.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Whatever takes longer has not happened. Generous: the machine may be doing anything else meanwhile, and every bound of the server is far
/// below.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How often is looked.
const LOOK_INTERVAL: Duration = Duration::from_millis(25);

/// Looks until there is something. An error ends it at once.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if Instant::now() >= deadline {
            bail!("{what}: not after {} s", PATIENCE.as_secs());
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}
