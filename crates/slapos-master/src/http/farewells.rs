//! Has other Masters destroy what trees that have ended asked them for, as long as the Master runs; the
//! log and the audit log tell it.

use std::sync::Arc;
use std::time::Duration;

use super::App;
use crate::requests::Said;
use crate::store::{AuditEntry, Farewell};

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(5);

/// Who does it, in the audit log.
const MASTER: &str = "master";

impl App {
    /// Never ends, except where there is no other Master: nothing is to be done there.
    pub(crate) async fn say_farewells(self: Arc<App>) {
        match self.desk.unknown_masters(&self.store).await {
            Ok(urls) => {
                for url in urls {
                    tracing::warn!(
                        "what trees that have ended asked the Master {url} for is not destroyed \
                         there, because [multimaster/{url}] is configured no more"
                    );
                }
            }
            Err(error) => tracing::warn!("what other Masters are to destroy: {error}"),
        }
        while self.desk.has_others() {
            match self.desk.say_farewells(&self.store).await {
                Ok(said) => {
                    for (farewell, said) in said {
                        self.tell(&farewell, &said).await;
                    }
                }
                Err(error) => tracing::warn!("what other Masters are to destroy: {error}"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Each try is in the log; what came of it in the end, and that it did not succeed at once, is in
    /// the audit log.
    async fn tell(self: &Arc<App>, farewell: &Farewell, said: &Said) {
        let Farewell { title, master_url, root, .. } = farewell;
        let about = format!("{title} at {master_url}, whose tree {root} has ended");
        let outcome = match said {
            Said::Done => {
                tracing::info!("asked to destroy {about}");
                200
            }
            Said::Later(why) => {
                tracing::warn!("asked to destroy {about}, and will be again: {why}");
                if farewell.tries > 0 {
                    return;
                }
                503
            }
            Said::GivenUp(why) => {
                tracing::error!("not destroyed, and nobody asks any more: {about}: {why}");
                // No refusal of ours, of which the log has one a minute.
                502
            }
        };
        let entry = AuditEntry {
            at: self.store.time(),
            caller: MASTER.to_owned(),
            method: "POST".to_owned(),
            route: "/requestComputerPartition".to_owned(),
            about,
            outcome,
        };
        self.note(entry).await;
    }
}
