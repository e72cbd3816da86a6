//! An update at a supervisor that is not ours: Python's, started by others for our instance root.
//! It has no method that does all of it, so it is done with those that `supervisorctl update` uses.

use std::time::{Duration, Instant};

use super::{Client, Result, Update};
use crate::client::error::senseless;
use crate::xmlrpc::Value;
use crate::{ClientError, fault};

impl Client {
    /// See [`Client::update`].
    pub(super) fn update_foreign(&self, group: Option<&str>, limit: Duration) -> Result<Update> {
        let end = Instant::now() + limit;
        let mut update = changes(&self.call("supervisor.reloadConfig", Vec::new())?)?;
        let chosen = |name: &String| group.is_none_or(|group| group == name);
        for names in [&mut update.added, &mut update.changed, &mut update.removed] {
            names.retain(chosen);
        }
        for name in update.removed.iter().chain(&update.changed) {
            let left = end.saturating_duration_since(Instant::now());
            unless_gone(self.stop_group(name, Some(left)))?;
            unless_gone(self.call("supervisor.removeProcessGroup", vec![name.as_str().into()]))?;
        }
        for name in update.changed.iter().chain(&update.added) {
            self.call("supervisor.addProcessGroup", vec![name.as_str().into()])?;
        }
        update.processes = self.touched(&update)?;
        Ok(update)
    }

    fn touched(&self, update: &Update) -> Result<Vec<(String, String)>> {
        let change = |group: &String| match (&update.added, &update.changed) {
            (added, _) if added.contains(group) => Some("added"),
            (_, changed) if changed.contains(group) => Some("changed"),
            _ => None,
        };
        let infos = self.all_process_info()?;
        let touched = infos
            .iter()
            .filter_map(|info| Some((info.namespec(), change(&info.group)?.to_owned())));
        Ok(touched.collect())
    }
}

/// A group that is gone already is as wanted.
fn unless_gone<T>(result: Result<T>) -> Result<()> {
    match result {
        Err(ClientError::Fault { fault, .. }) if fault.code == fault::BAD_NAME => Ok(()),
        result => result.map(drop),
    }
}

/// The answer of `reloadConfig`: a list with one list of the groups that are added, changed and
/// removed.
fn changes(answer: &Value) -> Result<Update> {
    let method = "supervisor.reloadConfig";
    let lists = answer.as_array().and_then(<[Value]>::first).and_then(Value::as_array);
    let lists = lists.filter(|lists| lists.len() == 3);
    let lists = lists.ok_or_else(|| senseless(method, "it does not have three lists"))?;
    let mut names = lists.iter().map(|list| {
        let names = list.as_array().unwrap_or_default().iter();
        names.filter_map(|name| Some(name.as_str()?.to_owned())).collect::<Vec<_>>()
    });
    let mut next = || names.next().unwrap_or_default();
    Ok(Update { added: next(), changed: next(), removed: next(), processes: Vec::new() })
}
