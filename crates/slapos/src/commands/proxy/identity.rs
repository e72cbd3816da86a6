//! `slapos proxy user|project|token|computer|ca|audit`: who may do what, told to the Master that runs.

use std::path::Path;

use serde_json::{Value, json};
use slapos_node::{NodeConfig, NodeError, master};
use slapos_slap::{Authority, SlapClient, Verb};

use crate::cli::Global;
use crate::cli::identity::{Computer, Holder, Project, Token, User};
use crate::commands::computer_set;
use crate::output::{Table, say, say_json};

/// The Master, and how to say what it answers.
pub(super) struct Desk<'a> {
    client: SlapClient,
    global: &'a Global,
    config: &'a NodeConfig,
}

impl<'a> Desk<'a> {
    pub(super) fn new(global: &'a Global, config: &'a NodeConfig) -> Result<Desk<'a>, NodeError> {
        Ok(Desk { client: master(config)?, global, config })
    }

    fn ask(&self, verb: Verb, route: &str, body: &Value) -> Result<Value, NodeError> {
        Ok(self.client.administer(verb, route, body)?)
    }

    /// All pages of a list.
    fn all(&self, route: &str) -> Result<Vec<Value>, NodeError> {
        let mut items = Vec::new();
        let mut after = String::new();
        loop {
            let page = self.ask(Verb::Get, &format!("{route}?limit=500{after}"), &Value::Null)?;
            items.extend(page.get("items").and_then(Value::as_array).cloned().unwrap_or_default());
            match page.get("next").and_then(Value::as_str) {
                Some(next) => after = format!("&after={next}"),
                None => return Ok(items),
            }
        }
    }

    fn show(&self, items: Vec<Value>, columns: [(&str, &str); 3]) {
        if self.global.json {
            return say_json(&Value::Array(items));
        }
        let mut table = Table::new(&columns.map(|(title, _)| title));
        for item in &items {
            table.row(columns.map(|(_, field)| word(item.get(field))));
        }
        match table.is_empty() {
            true => say("none"),
            false => say(&table.to_string()),
        }
    }

    fn said(&self, answer: &Value, text: &str) {
        match self.global.json {
            true => say_json(answer),
            false => say(text),
        }
    }

    pub(super) fn user(&self, command: &User) -> Result<u8, NodeError> {
        match command {
            User::Add { name } => {
                let made = self.ask(Verb::Post, "users", &json!({ "name": name }))?;
                self.said(&made, &format!("{name} is known. Now `slapos proxy token create --user {name}`, and `slapos proxy project join`."));
            }
            User::List => self.show(
                self.all("users")?,
                [("user", "name"), ("projects", "projects"), ("since", "created_at")],
            ),
            User::Remove { name } => {
                let done = self.ask(Verb::Delete, &format!("users/{name}"), &Value::Null)?;
                self.said(&done, &format!("{name} is forgotten."));
            }
        }
        Ok(0)
    }

    pub(super) fn project(&self, command: &Project) -> Result<u8, NodeError> {
        let member = |project: &str, user: &str| format!("projects/{project}/members/{user}");
        match command {
            Project::Add { name } => {
                let made = self.ask(Verb::Post, "projects", &json!({ "name": name }))?;
                self.said(&made, &format!("The project {name} is made."));
            }
            Project::List => self.show(
                self.all("projects")?,
                [("project", "name"), ("members", "members"), ("since", "created_at")],
            ),
            Project::Remove { name } => {
                let done = self.ask(Verb::Delete, &format!("projects/{name}"), &Value::Null)?;
                self.said(&done, &format!("The project {name} is forgotten."));
            }
            Project::Join { project, user } => {
                let done = self.ask(Verb::Put, &member(project, user), &json!({}))?;
                self.said(&done, &format!("{user} is a member of {project}."));
            }
            Project::Leave { project, user } => {
                let done = self.ask(Verb::Delete, &member(project, user), &Value::Null)?;
                self.said(&done, &format!("{user} is no member of {project} any more."));
            }
        }
        Ok(0)
    }

    pub(super) fn token(&self, command: &Token) -> Result<u8, NodeError> {
        match command {
            Token::Create { holder, label, days } => {
                let mut body = json!({ "label": label });
                if let Some(days) = days {
                    body["expires_in"] = json!(u64::from(*days) * 86_400);
                }
                let made = self.ask(Verb::Post, &tokens(holder), &body)?;
                let token = word(made.get("token"));
                self.said(&made, &token);
            }
            Token::List { holder } => self.show(
                self.all(&tokens(holder))?,
                [("token", "id"), ("for", "label"), ("used", "used_at")],
            ),
            Token::Revoke { holder, id } => {
                let one = id.as_ref().map(|id| format!("/{id}")).unwrap_or_default();
                let route = format!("{}{one}", tokens(holder));
                let done = self.ask(Verb::Delete, &route, &Value::Null)?;
                let text = format!("revoked: {}", word(done.get("revoked")));
                self.said(&done, &text);
            }
        }
        Ok(0)
    }

    pub(super) fn computer(&self, command: &Computer) -> Result<u8, NodeError> {
        match command {
            Computer::Set(wanted) => return computer_set::set(self.global, self.config, wanted),
            Computer::Add { id, project } => {
                let mut body = json!({ "title": id });
                if let Some(project) = project {
                    body["project"] = json!(project);
                }
                let made = self.ask(Verb::Post, "computers", &body)?;
                let token = word(made.get("token"));
                self.said(&made, &token);
            }
            Computer::List => self.show(
                self.all("computers")?,
                [("computer", "id"), ("project", "project"), ("last heard of", "last_contact_at")],
            ),
            Computer::Remove { id } => {
                let done = self.ask(Verb::Delete, &format!("computers/{id}"), &Value::Null)?;
                self.said(&done, &format!("{id} is forgotten."));
            }
            Computer::Certificate { id, directory } => {
                let route = format!("computers/{id}/certificate");
                let pair = self.ask(Verb::Post, &route, &json!({}))?;
                let certificate = word(pair.get("certificate"));
                let written = [("crt", certificate, 0o644), ("key", word(pair.get("key")), 0o600)];
                for (kind, text, mode) in written {
                    write(&directory.join(format!("{id}.{kind}")), &text, mode)?;
                }
                let place = directory.display();
                self.said(&json!({}), &format!("written: {id}.crt and {id}.key in {place}"));
            }
            Computer::Revoke { id } => {
                let mut counts = Vec::new();
                for what in ["token", "certificate"] {
                    let route = format!("computers/{id}/{what}");
                    let done = self.ask(Verb::Delete, &route, &Value::Null)?;
                    counts.push(word(done.get("revoked")));
                }
                let [tokens, certificates] = counts.as_slice() else { return Ok(0) };
                let answer = json!({ "tokens": tokens, "certificates": certificates });
                let text = format!("revoked: {tokens} tokens, {certificates} certificates");
                self.said(&answer, &text);
            }
        }
        Ok(0)
    }

    pub(super) fn show_authority(&self, fingerprint: bool) -> Result<u8, NodeError> {
        let found = Authority::of(&self.client.authority()?)
            .map_err(|reason| NodeError::user(format!("the Master's authority: {reason}")))?;
        let text = if fingerprint { &found.fingerprint } else { found.certificate.trim_end() };
        let answer = json!({ "certificate": found.certificate, "fingerprint": found.fingerprint });
        self.said(&answer, text);
        Ok(0)
    }

    pub(super) fn audit(&self, limit: u32) -> Result<u8, NodeError> {
        let page = self.ask(Verb::Get, &format!("audit?limit={limit}"), &Value::Null)?;
        let items = page.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
        if self.global.json {
            say_json(&Value::Array(items));
            return Ok(0);
        }
        let columns = ["at", "caller", "method", "route", "about", "outcome"];
        let mut table = Table::new(&columns);
        for item in &items {
            table.row(columns.map(|column| word(item.get(column))));
        }
        say(&table.to_string());
        Ok(0)
    }
}

fn tokens(holder: &Holder) -> String {
    match (&holder.user, &holder.computer) {
        (Some(user), _) => format!("users/{user}/tokens"),
        (None, computer) => format!("computers/{}/token", computer.as_deref().unwrap_or_default()),
    }
}

/// A value as people read it.
fn word(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => {
            let words: Vec<_> = items.iter().map(|item| word(Some(item))).collect();
            words.join(", ")
        }
        Some(other) => other.to_string(),
    }
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), NodeError> {
    slapos_sys::fs::write_atomic(path, text.as_bytes(), mode)
        .map_err(|error| NodeError::user(format!("cannot write {}: {error}", path.display())))
}
