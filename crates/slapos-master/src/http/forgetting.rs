//! Has what ended long ago forgotten, as long as the Master runs.

use std::sync::Arc;
use std::time::Duration;

use super::App;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(3600);

impl App {
    /// Never ends.
    pub(crate) async fn forget_what_ended(self: Arc<App>) {
        loop {
            match self.store.forget_tokens().await {
                Ok(0) => {}
                Ok(count) => tracing::info!("forgot {count} tokens that ended long ago"),
                Err(error) => tracing::warn!("tokens that ended long ago: {error}"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
