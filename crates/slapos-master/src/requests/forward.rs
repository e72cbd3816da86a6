//! Requests that another Master serves, as the original's `[multimaster/URL]` says.
//!
//! A request goes to another Master if no instance of this one is meant and
//! - its filter says so (`master_url`), and that Master is configured; or
//! - its Software Release is in the list of one; or
//! - that Master was asked before.
//!
//! A request that some Master forwarded already (its filter has `source_instance_id`) is not
//! forwarded again because of a list, so that two Masters that name each other do not go round.
//! There it is called by who asks, `_`, and its title: the partition (with its computer, unless that is the
//! Master's own), or `user` (with the project, if it has a name). That Master's
//! refusals are handed on; while it cannot be reached, callers are told to come back.

use std::fmt;
use std::time::Duration;

use slapos_slap::{
    ComputerId, InstanceAnswer, InstanceRequest, InstanceState, PartitionId, SlapClient, SlapError,
    SoftwareUrl, TlsIdentity, told_url,
};
use slapos_sys::Secret;

use super::{Desk, Refused};
use crate::store::{Standing, Store};

/// How long another Master may take for an answer: less than our callers wait for ours.
const PATIENCE: Duration = Duration::from_secs(40);

/// What tells another Master, in a filter, which request it is about.
pub(super) const SOURCE: &str = "source_instance_id";

/// A Master that requests may be forwarded to.
#[derive(Clone)]
pub struct OtherMaster {
    /// Its URL, as it is configured and as filters name it.
    pub url: String,
    /// The Software Releases that it serves.
    pub software: Vec<SoftwareUrl>,
    /// The partition there in whose name to ask; without it, a user asks.
    pub requester: Option<(ComputerId, PartitionId)>,
    /// The certificate to show there; `None` when none is configured.
    pub identity: Option<TlsIdentity>,
    /// What to prove there that we are known, if it is one of ours.
    pub token: Option<Secret>,
}

impl fmt::Debug for OtherMaster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OtherMaster({})", self.name())
    }
}

impl OtherMaster {
    /// Its URL as others are told of it: without a token that it may have.
    pub(super) fn name(&self) -> String {
        told_url(&self.url)
    }
}

impl Desk {
    /// The Master that serves a request, if it is another one.
    pub(super) async fn target(
        &self,
        request: &InstanceRequest,
        standing: &Standing,
        origin: &str,
    ) -> Result<Option<&OtherMaster>, Refused> {
        if matches!(standing, Standing::Here { .. }) {
            return Ok(None);
        }
        let named = request.sla.get("master_url").filter(|url| !url.is_empty());
        if let Some(url) = named {
            if same(url, origin) {
                return Ok(None);
            }
            let other = self.configured(url)?;
            return Ok((!self.is_ourselves(other).await).then_some(other));
        }
        if !request.sla.contains_key(SOURCE) {
            let others = &self.config.other_masters;
            let listed = others.iter().find(|other| other.software.contains(&request.software));
            if listed.is_some() {
                return Ok(listed);
            }
        }
        match standing {
            Standing::Forwarded { master_url, .. } => self.configured(master_url).map(Some),
            _ => Ok(None),
        }
    }

    pub(super) fn configured(&self, url: &str) -> Result<&OtherMaster, Refused> {
        let found = self.config.other_masters.iter().find(|other| same(&other.url, url));
        let other = found.ok_or_else(|| {
            Refused::Configuration(format!(
                "External SlapOS Master URL {} is not listed in multimaster list.",
                told_url(url)
            ))
        })?;
        Ok(other)
    }

    /// Whether a URL leads to this process. A Master that does not answer is none of us.
    async fn is_ourselves(&self, other: &OtherMaster) -> bool {
        let Ok(client) = client(other) else { return false };
        let asked = tokio::task::spawn_blocking(move || client.run_id()).await;
        matches!(asked, Ok(Ok(id)) if id == self.run_id)
    }

    /// Asks another Master.
    pub(super) async fn forward(
        &self,
        store: &Store,
        project: &str,
        request: &InstanceRequest,
        standing: &Standing,
        other: &OtherMaster,
    ) -> Result<InstanceAnswer, Refused> {
        let (client, name) = (client(other)?, other.name());
        let there = translated(request, project, store.home(), standing, other);
        // Before it is asked, so that what was asked of it is known whatever happens next.
        if request.state != Some(InstanceState::Destroyed) {
            store.note_forwarded(project, request, &name, there.title.as_str()).await?;
        }
        tracing::info!("forwarding the request of {} to {name}", there.title);
        let asked = tokio::task::spawn_blocking(move || client.request(&there)).await;
        let unheard = |_| SlapError::Unreachable {
            url: name.clone(),
            reason: "asking it was interrupted".to_owned(),
        };
        let answer = asked.map_err(unheard)?;
        let over = match &answer {
            Ok(_) => request.state == Some(InstanceState::Destroyed),
            Err(error) => *standing == Standing::New && !error.is_temporary(),
        };
        if over {
            store.forget_forwarded(project, request).await?;
        }
        match answer? {
            None => Err(Refused::NotReady(name)),
            Some(answer) => Ok(InstanceAnswer { master_url: Some(name), ..answer }),
        }
    }
}

/// The request as another Master is to hear it. What is one title here for each project and computer
/// has to be one there: the title begins with who asks, as the original has it, who is named in full
/// where he is not the only one of that name.
fn translated(
    request: &InstanceRequest,
    project: &str,
    home: &ComputerId,
    standing: &Standing,
    other: &OtherMaster,
) -> InstanceRequest {
    let mut there = request.clone();
    if let Standing::Forwarded { master_url, title } = standing
        && same(master_url, &other.url)
    {
        there.title = title.as_str().into();
    } else {
        let asker = match &request.requester {
            Some((computer, partition)) if computer == home => partition.to_string(),
            Some((computer, partition)) => format!("{computer}-{partition}"),
            None if project.is_empty() => "user".to_owned(),
            None => format!("user-{project}"),
        };
        there.title = format!("{asker}_{}", request.title).into();
    }
    there.requester.clone_from(&other.requester);
    // It concerns this Master only.
    there.sla.shift_remove("master_url");
    if other.requester.is_none() {
        there.sla.insert(SOURCE.to_owned(), there.title.to_string());
    }
    there
}

/// A client of another Master.
pub(super) fn client(other: &OtherMaster) -> Result<SlapClient, Refused> {
    let url = &other.url;
    if url.starts_with("https") && other.identity.is_none() && other.token.is_none() {
        return Err(Refused::Configuration(format!(
            "External master {} configuration did not specify key or certificate.",
            other.name()
        )));
    }
    let identity = other.identity.clone().unwrap_or_default();
    Ok(SlapClient::with_identity(url, other.token.clone(), PATIENCE, &identity)?)
}

/// Whether two addresses are the same, whatever slash they end with and whatever token they have.
fn same(one: &str, other: &str) -> bool {
    told_url(one).trim_end_matches('/') == told_url(other).trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::super::RequestsConfig;
    use super::*;

    fn other(url: &str, software: &[&str]) -> OtherMaster {
        OtherMaster {
            url: url.to_owned(),
            software: software.iter().map(|url| SoftwareUrl::new(*url)).collect(),
            requester: None,
            identity: None,
            token: None,
        }
    }

    async fn target(sla: &[(&str, &str)], standing: &Standing) -> Result<String, String> {
        let config = RequestsConfig {
            other_masters: vec![
                other("http://127.0.0.1:1/", &["S"]),
                other("http://127.0.0.1:2", &[]),
            ],
            ..RequestsConfig::default()
        };
        let desk = Desk::new(config, "id".to_owned());
        let mut request = InstanceRequest::new("x", "S");
        request.sla =
            sla.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
        let found = desk.target(&request, standing, "http://me").await;
        found
            .map(|found| found.map_or("here".to_owned(), |other| other.url.clone()))
            .map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn who_serves_a_request() {
        let new = Standing::New;
        let asked =
            |url: &str| Standing::Forwarded { master_url: url.to_owned(), title: "t".to_owned() };
        assert_eq!(target(&[], &new).await.unwrap(), "http://127.0.0.1:1/");
        assert_eq!(target(&[], &Standing::Here { same: false }).await.unwrap(), "here");
        assert_eq!(target(&[("source_instance_id", "a")], &new).await.unwrap(), "here");
        assert_eq!(target(&[("master_url", "http://me/")], &new).await.unwrap(), "here");
        let two = ("master_url", "http://127.0.0.1:2/");
        assert_eq!(target(&[two], &new).await.unwrap(), "http://127.0.0.1:2");
        let source = ("source_instance_id", "a");
        let before = asked("http://127.0.0.1:2");
        assert_eq!(target(&[source], &before).await.unwrap(), "http://127.0.0.1:2");
        insta::assert_snapshot!(target(&[("master_url", "http://foreign/")], &new).await.unwrap_err(), @"External SlapOS Master URL http://foreign/ is not listed in multimaster list.");
        insta::assert_snapshot!(target(&[source], &asked("http://gone")).await.unwrap_err(), @"External SlapOS Master URL http://gone is not listed in multimaster list.");
    }

    #[test]
    fn how_another_master_hears_it() {
        let mut request = InstanceRequest::new("x", "S");
        request.sla = [("master_url".to_owned(), "u".to_owned())].into();
        let there = translated(&request, "", &"c".into(), &Standing::New, &other("u", &[]));
        assert_eq!(there.title.as_str(), "user_x");
        let expected = [("source_instance_id".to_owned(), "user_x".to_owned())];
        assert_eq!(there.sla, expected.into());
        request.requester = Some(("c".into(), "slappart3".into()));
        let mut one = other("u", &[]);
        one.requester = Some(("C".into(), "P".into()));
        let there = translated(&request, "", &"c".into(), &Standing::New, &one);
        assert_eq!((there.title.as_str(), there.requester), ("slappart3_x", one.requester.clone()));
        let elsewhere = translated(&request, "", &"home".into(), &Standing::New, &one);
        assert_eq!(elsewhere.title.as_str(), "c-slappart3_x");
        assert!(there.sla.is_empty());
        let former = Standing::Forwarded { master_url: "u/".to_owned(), title: "old".to_owned() };
        assert_eq!(translated(&request, "", &"c".into(), &former, &one).title.as_str(), "old");
    }

    #[test]
    fn the_token_in_an_address_is_not_told() {
        let one = other("http://me:secret@m:1", &[]);
        assert_eq!(
            (one.name().as_str(), format!("{one:?}").contains("secret")),
            ("http://me:***@m:1/", false)
        );
        assert!(same(&one.name(), &one.url), "who was told of it may name it so");
        assert!(!same("http://me:secret@m:2", &one.url) && !same("http://m:1", &one.url));
    }

    #[test]
    fn a_master_by_https_wants_to_know_who_we_are() {
        let error = client(&other("https://m", &[])).unwrap_err();
        insta::assert_snapshot!(error, @"External master https://m configuration did not specify key or certificate.");
    }
}
