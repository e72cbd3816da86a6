//! What trees asked other Masters for, once the trees have ended: those Masters are asked to destroy
//! it, and again while they cannot be asked, or refuse.

use slapos_slap::{InstanceRequest, InstanceState, SlapClient, SlapError};

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

    /// Masters that still are to destroy something, and are not configured any more.
    pub(crate) async fn unknown_masters(&self, store: &Store) -> Result<Vec<String>, StoreError> {
        let mut urls = store.farewell_masters().await?;
        urls.retain(|url| self.configured(url).is_err());
        Ok(urls)
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
        let asked = tokio::task::spawn_blocking(move || ask(&client, &request)).await;
        asked.unwrap_or_else(|_| Err("asking it was interrupted".to_owned()))
    }
}

/// Asks, and believes nobody but a Master that nothing is there.
fn ask(client: &SlapClient, request: &InstanceRequest) -> Result<(), String> {
    match client.request(request) {
        Ok(_) => Ok(()),
        // Whoever has no such route, a proxy or a Master that has moved, says the same.
        Err(absent @ SlapError::NotFound { .. }) => match client.run_id() {
            Ok(id) if is_run_id(&id) => Ok(()),
            Ok(_) => Err(format!("{absent} (it has no `getRunId`, so it may be no Master)")),
            Err(error) => Err(format!("{absent}; and {error}")),
        },
        Err(error) => Err(error.to_string()),
    }
}

/// Whether a text is what Masters, ours and the original's, answer to `getRunId`: one word.
fn is_run_id(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=100).contains(&text.len()) && text.bytes().all(plain)
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

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{Shutdown, TcpListener};
    use std::time::Duration;

    use super::*;

    /// What comes of asking one who answers 404 to the request, and then that to `getRunId`.
    fn asked(status: u16, body: &'static str) -> Result<(), String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            for (status, body) in [(404, ""), (status, body)] {
                let (mut stream, _) = listener.accept().unwrap();
                let head = format!("HTTP/1.1 {status} x\r\nConnection: close\r\nContent-Length: ");
                write!(stream, "{head}{}\r\n\r\n{body}", body.len()).unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
                // Until the other end has heard it.
                while stream.read(&mut [0; 4096]).is_ok_and(|count| count > 0) {}
            }
        });
        let client = SlapClient::new(&url, None, Duration::from_secs(60)).unwrap();
        let said = ask(&client, &InstanceRequest::new("x", "S"));
        server.join().unwrap();
        said
    }

    #[test]
    fn only_a_master_is_believed_that_nothing_is_there() {
        asked(200, "0a1b").unwrap();
        for (status, body) in [(404, ""), (200, "<p>hello</p>")] {
            let why = asked(status, body).unwrap_err();
            assert!(why.contains("404 to /requestComputerPartition"), "{why}");
        }
    }
}
