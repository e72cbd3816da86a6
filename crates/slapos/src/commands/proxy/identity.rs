//! `slapos proxy user|project|token|computer|ca|audit`: who may do what, told to the Master that runs.

use std::path::Path;

use serde_json::{Value, json};
use slapos_node::{NodeError, OperatorConfig};
use slapos_slap::{Authority, SlapClient, Verb};

use crate::cli::Global;
use crate::cli::identity::{Computer, Holder, Project, Token, User};
use crate::commands::computer_set;
use crate::output::{Table, say, say_json};

/// The Master, and how to say what it answers.
pub(super) struct Desk<'a> {
    client: SlapClient,
    global: &'a Global,
}

/// What a table has: the title of a column, and where its values are in an answer.
type Columns<'a> = &'a [(&'a str, &'a str)];

impl<'a> Desk<'a> {
    pub(super) fn new(global: &'a Global, config: &OperatorConfig) -> Result<Desk<'a>, NodeError> {
        Ok(Desk { client: config.master()?, global })
    }

    fn make(&self, path: &[&str], body: &Value) -> Result<Value, NodeError> {
        Ok(self.client.json(Verb::Post, path, Some(body))?)
    }

    fn delete(&self, path: &[&str]) -> Result<Value, NodeError> {
        Ok(self.client.json(Verb::Delete, path, None)?)
    }

    /// All pages of a list.
    fn list(&self, path: &[&str], columns: Columns<'_>) -> Result<(), NodeError> {
        self.show(self.client.list(path, &[])?, columns);
        Ok(())
    }

    fn show(&self, items: Vec<Value>, columns: Columns<'_>) {
        if self.global.json {
            return say_json(&Value::Array(items));
        }
        let titles: Vec<_> = columns.iter().map(|(title, _)| *title).collect();
        let mut table = Table::new(&titles);
        for item in &items {
            table.cells(columns.iter().map(|(_, place)| match item.pointer(place) {
                Some(Value::String(time)) if place.ends_with("at") => moment(time),
                other => word(other),
            }));
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
                let made = self.make(&["users"], &json!({ "name": name }))?;
                self.said(&made, &format!("{name} is known. Now `slapos proxy token create --user {name}`, and `slapos proxy project join`."));
            }
            User::List => self.list(
                &["users"],
                &[("user", "/name"), ("projects", "/projects"), ("since", "/created_at")],
            )?,
            User::Remove { name } => {
                self.delete(&["users", name])?;
                self.said(&json!({ "removed": name }), &format!("{name} is forgotten."));
            }
        }
        Ok(0)
    }

    pub(super) fn project(&self, command: &Project) -> Result<u8, NodeError> {
        match command {
            Project::Add { name } => {
                let made = self.make(&["projects"], &json!({ "name": name }))?;
                self.said(&made, &format!("The project {name} is made."));
            }
            Project::List => self.list(
                &["projects"],
                &[("project", "/name"), ("members", "/members"), ("since", "/created_at")],
            )?,
            Project::Remove { name } => {
                self.delete(&["projects", name])?;
                let text = format!("The project {name} is forgotten.");
                self.said(&json!({ "removed": name }), &text);
            }
            Project::Join { project, user } => {
                self.client.json(Verb::Put, &["projects", project, "members", user], None)?;
                let answer = json!({ "project": project, "joined": user });
                self.said(&answer, &format!("{user} is a member of {project}."));
            }
            Project::Leave { project, user } => {
                self.delete(&["projects", project, "members", user])?;
                let answer = json!({ "project": project, "left": user });
                self.said(&answer, &format!("{user} is no member of {project} any more."));
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
                let made = self.make(&tokens(holder), &body)?;
                let token = word(made.get("token"));
                self.said(&made, &token);
            }
            Token::List { holder } => self.list(
                &tokens(holder),
                &[
                    ("token", "/id"),
                    ("for", "/label"),
                    ("made", "/created_at"),
                    ("until", "/expires_at"),
                    ("used", "/used_at"),
                    ("revoked", "/revoked_at"),
                ],
            )?,
            Token::Revoke { holder, id } => {
                let mut path = tokens(holder).to_vec();
                path.extend(id.as_deref());
                let done = self.delete(&path)?;
                let text = format!("revoked: {}", word(done.get("revoked")));
                self.said(&done, &text);
            }
        }
        Ok(0)
    }

    pub(super) fn computer(&self, command: &Computer) -> Result<u8, NodeError> {
        match command {
            Computer::Set(wanted) => return computer_set::set(self.global, &self.client, wanted),
            Computer::List => self.list(
                &["computers"],
                &[
                    ("computer", "/id"),
                    ("title", "/title"),
                    ("project", "/project"),
                    ("scope", "/allocation_scope"),
                    ("partitions", "/partitions/total"),
                    ("in use", "/partitions/busy"),
                    ("node", "/state"),
                    ("last heard of", "/last_contact_at"),
                ],
            )?,
            Computer::Add { id, project } => {
                let mut body = json!({ "title": id });
                if let Some(project) = project {
                    body["project"] = json!(project);
                }
                let made = self.make(&["computers"], &body)?;
                let token = word(made.get("token"));
                self.said(&made, &token);
            }
            Computer::Certificate { id, directory } => self.certificate(id, directory)?,
            Computer::Revoke { id } => {
                let tokens = self.revoked(id, "token")?;
                let certificates = self.revoked(id, "certificate")?;
                let answer = json!({ "tokens": tokens, "certificates": certificates });
                let text = format!("revoked: {tokens} tokens, {certificates} certificates");
                self.said(&answer, &text);
            }
            Computer::Remove { id } => {
                self.delete(&["computers", id])?;
                let text = format!("{id} is forgotten, and what proved that it is it.");
                self.said(&json!({ "removed": id }), &text);
            }
        }
        Ok(0)
    }

    /// How many of what proves to be a computer were revoked.
    fn revoked(&self, id: &str, what: &str) -> Result<Value, NodeError> {
        let mut done = self.delete(&["computers", id, what])?;
        Ok(done.get_mut("revoked").map(Value::take).unwrap_or_default())
    }

    fn certificate(&self, id: &str, directory: &Path) -> Result<(), NodeError> {
        let name = file_name(id)?;
        let pair = self.make(&["computers", id, "certificate"], &json!({}))?;
        let written = [("crt", "certificate", 0o644), ("key", "key", 0o600)];
        for (kind, what, mode) in written {
            write(&directory.join(format!("{name}.{kind}")), &word(pair.get(what)), mode)?;
        }
        let place = directory.display();
        let files = json!({ "certificate": directory.join(format!("{name}.crt")),
                            "key": directory.join(format!("{name}.key")) });
        self.said(&files, &format!("written: {name}.crt and {name}.key in {place}"));
        Ok(())
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
        let page = self.client.look(&["audit"], &[("limit", &limit.to_string())])?;
        let items = page.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
        let columns = [
            ("at", "/at"),
            ("caller", "/caller"),
            ("method", "/method"),
            ("route", "/route"),
            ("about", "/about"),
            ("outcome", "/outcome"),
        ];
        self.show(items, &columns);
        Ok(0)
    }
}

/// Where a holder's tokens are.
fn tokens(holder: &Holder) -> [&str; 3] {
    match (&holder.user, &holder.computer) {
        (Some(user), _) => ["users", user, "tokens"],
        (None, computer) => ["computers", computer.as_deref().unwrap_or_default(), "token"],
    }
}

/// A name that files can have.
fn file_name(id: &str) -> Result<&str, NodeError> {
    match Path::new(id).file_name() {
        Some(name) if name == id => Ok(id),
        _ => Err(NodeError::user(format!("no file can be called {id:?}"))
            .hint("`slapos proxy computer list` lists the computers that there are")),
    }
}

/// A time as people read it, in UTC.
fn moment(time: &str) -> String {
    let parsed = time.parse::<slapos_sys::clock::Timestamp>();
    parsed.map_or_else(|_| time.to_owned(), |time| time.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

/// A value as people read it.
fn word(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) if text.is_empty() => "-".to_owned(),
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
