//! `slapos.cookbook:publish` and `publish.serialised`: connection parameters of the instance.
//! With `_failsafe` after their names, an instance whose parameters the Master refuses does not
//! fail.
//!
//! Options: every option that does not begin with `-`, `_` or `<`, except `recipe`, is published
//! under its name, and so are those of the sections named by `-extends` (white-space list,
//! followed further; what is nearer wins). Special:
//! - `-publish`: white-space list of the only options to publish, of the part and of every
//!   extended section that has one;
//! - `-slave-reference`: the shared instance of this partition whose parameters these are. What the
//!   Master has of one is not known here: it is told whenever the part changed, and not otherwise;
//! - `-error-status-file`, of the `_failsafe` recipes: a file, mode 0600, that says why the last
//!   publication failed, and is absent when it did not; it goes with the part. Without the option
//!   a failure is a warning only.
//!
//! Typed values are published as their text, by `.serialised` as JSON: `{"_": json}`. Whenever the
//! Master has something else, it is published again, whether or not the part changed.

use std::path::PathBuf;
use std::sync::Arc;

use indexmap::IndexMap;
use slapos_engine::{Part, PartContext, PartError, PartInit, ProfileError, Recipe};
use slapos_slap::PartitionPort;

use crate::common::{self, Literal};
use crate::jinja::json;
use crate::slapconfiguration::port;

/// The recipe.
pub(crate) struct Publish {
    slap: Option<Arc<dyn PartitionPort>>,
    serialised: bool,
    failsafe: bool,
}

impl Publish {
    pub(crate) fn new(slap: Option<Arc<dyn PartitionPort>>, serialised: bool) -> Self {
        Self { slap, serialised, failsafe: false }
    }

    /// The same, but a publication that fails does not fail the part.
    pub(crate) fn failsafe(self) -> Self {
        Self { failsafe: true, ..self }
    }
}

impl Recipe for Publish {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let port = port(self.slap.as_ref(), init)?.clone();
        let reference =
            common::typed(&init.options()).get("-slave-reference").map(Literal::to_text);
        let shared = reference.filter(|reference| !reference.is_empty());
        let values = collect(init)?;
        let connection = match self.serialised {
            true => {
                let pairs = values.into_iter().map(|(name, value)| (Literal::Str(name), value));
                let text = json::of_literal(&Literal::Dict(pairs.collect()));
                IndexMap::from([("_".to_owned(), text)])
            }
            false => values.into_iter().map(|(name, value)| (name, value.to_text())).collect(),
        };
        let published = Published { port, shared, connection };
        if !self.failsafe {
            return Ok(Box::new(published));
        }
        let file = init.get("-error-status-file").map(str::trim).filter(|text| !text.is_empty());
        let status = file.map(|text| common::path(init, text));
        Ok(Box::new(Failsafe { published, status }))
    }
}

/// The values of this section and of those it extends; the nearest of each name.
fn collect(init: &mut PartInit<'_>) -> Result<IndexMap<String, Literal>, ProfileError> {
    let mut values = IndexMap::new();
    let mut seen = vec![init.name().to_owned()];
    let mut pending = vec![init.options()];
    while let Some(options) = pending.pop() {
        for (name, value) in common::typed(&chosen(&options)) {
            values.entry(name).or_insert(value);
        }
        let extends = options.get("-extends").map(String::as_str).unwrap_or_default();
        for section in extends.split_whitespace().rev() {
            if !seen.iter().any(|known| known == section) {
                seen.push(section.to_owned());
                pending.push(init.section(section)?);
            }
        }
    }
    Ok(values)
}

fn chosen(options: &IndexMap<String, String>) -> IndexMap<String, String> {
    let listed = options.get("-publish");
    let is_published = |name: &str| match listed {
        Some(list) => list.split_whitespace().any(|listed| listed == name),
        None => name != "recipe" && !name.starts_with(['-', '_', '<']),
    };
    options
        .iter()
        .filter(|(name, _)| is_published(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

struct Published {
    port: Arc<dyn PartitionPort>,
    /// Reference of the shared instance.
    shared: Option<String>,
    connection: IndexMap<String, String>,
}

impl Published {
    fn publish(&self) -> Result<(), PartError> {
        let of = match &self.shared {
            Some(reference) => format!(" of the shared instance `{reference}`"),
            None if self.port.partition().connection == self.connection => return Ok(()),
            None => String::new(),
        };
        let published = match &self.shared {
            Some(reference) => self.port.publish_shared(reference, &self.connection),
            None => self.port.publish(&self.connection),
        };
        published.map_err(|error| {
            PartError::new(format!("cannot publish the connection parameters{of}: {error}"))
        })
    }

    /// Why it is to be published again, if it is.
    fn outdated(&self) -> Option<String> {
        let differs = self.shared.is_none() && self.port.partition().connection != self.connection;
        differs.then(|| "the Master has other connection parameters".to_owned())
    }
}

impl Part for Published {
    fn install(&self, _cx: &PartContext<'_>) -> Result<Vec<PathBuf>, PartError> {
        self.publish().map(|()| Vec::new())
    }

    fn update(&self, _cx: &PartContext<'_>) -> Result<(), PartError> {
        self.publish()
    }

    fn needs_update(&self) -> Option<String> {
        self.outdated()
    }

    fn is_trivial(&self) -> bool {
        true
    }
}

/// A publication that may fail.
struct Failsafe {
    published: Published,
    /// The file that says why it did.
    status: Option<PathBuf>,
}

impl Failsafe {
    /// Publishes; what is made for it, if anything.
    fn publish(&self, cx: &PartContext<'_>) -> Result<Vec<PathBuf>, PartError> {
        let failed = self.published.publish().err().map(|error| error.to_string());
        if let Some(why) = &failed {
            cx.warn(why);
        }
        match (&self.status, failed) {
            (Some(path), Some(why)) => {
                cx.record_path(path)?;
                common::write_file(path, format!("{why}\n").as_bytes(), 0o600)?;
                Ok(vec![path.clone()])
            }
            (Some(path), None) if path.symlink_metadata().is_ok() => {
                let removed = slapos_sys::fs::remove_tree(path);
                removed.map_err(|error| PartError::io("remove", path, &error))?;
                Ok(Vec::new())
            }
            _ => Ok(Vec::new()),
        }
    }
}

impl Part for Failsafe {
    fn install(&self, cx: &PartContext<'_>) -> Result<Vec<PathBuf>, PartError> {
        self.publish(cx)
    }

    fn update(&self, cx: &PartContext<'_>) -> Result<(), PartError> {
        self.publish(cx).map(drop)
    }

    fn needs_update(&self) -> Option<String> {
        match &self.status {
            Some(path) if path.exists() => Some("its last publication failed".to_owned()),
            _ => self.published.outdated(),
        }
    }

    fn is_trivial(&self) -> bool {
        true
    }
}
