//! What trees asked other Masters for, once the trees have ended: those Masters are asked to destroy
//! it, and again while they cannot be asked, or refuse.

use slapos_slap::{InstanceRequest, InstanceState, SlapError};

use super::Desk;
use super::forward::{OtherMaster, SOURCE, client};
use crate::error::StoreError;
use crate::store::{Farewell, Store};

/// After so many tries, which take four days, it is left to people.
const MOST_TRIES: i64 = 100;

/// What came of asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    /// That Master destroys it, or has it no more.
    Done,
    /// It is asked again later, for this reason.
    Later(String),
    /// Nobody will ask again.
    GivenUp(String),
}

impl Desk {
    /// Whether there are Masters to ask.
    pub(crate) fn has_others(&self) -> bool {
        !self.config.other_masters.is_empty()
    }

    /// Asks for what is due, one after the other, and tells what came of each.
    pub(crate) async fn say_farewells(
        &self,
        store: &Store,
    ) -> Result<Vec<(Farewell, Said)>, StoreError> {
        let mut said = Vec::new();
        for mut farewell in store.due_farewells().await? {
            if !store.take_farewell(&mut farewell).await? {
                continue;
            }
            let answer = match self.say(&farewell).await {
                Ok(()) => Said::Done,
                Err(why) if farewell.tries + 1 < MOST_TRIES => Said::Later(why),
                Err(why) => Said::GivenUp(why),
            };
            if !matches!(answer, Said::Later(_)) {
                store.end_farewell(&farewell).await?;
            }
            said.push((farewell, answer));
        }
        Ok(said)
    }

    async fn say(&self, farewell: &Farewell) -> Result<(), String> {
        let other = self.configured(&farewell.master_url).map_err(|error| error.to_string())?;
        let client = client(other).map_err(|error| error.to_string())?;
        let request = destruction(farewell, other);
        match tokio::task::spawn_blocking(move || client.request(&request)).await {
            // One that does not answer where it is has nothing there, or destroys it.
            Ok(Ok(_) | Err(SlapError::NotFound { .. })) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("asking it was interrupted".to_owned()),
        }
    }
}

fn destruction(farewell: &Farewell, other: &OtherMaster) -> InstanceRequest {
    let mut request = InstanceRequest::new(farewell.title.as_str(), farewell.software.clone());
    request.software_type.clone_from(&farewell.software_type);
    request.shared = farewell.shared;
    request.state = Some(InstanceState::Destroyed);
    request.requester.clone_from(&other.requester);
    if other.requester.is_none() {
        request.sla.insert(SOURCE.to_owned(), farewell.title.clone());
    }
    request
}
