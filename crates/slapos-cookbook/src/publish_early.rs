//! `slapos.cookbook:publish-early`: values that are drawn once and kept by the Master, as
//! connection parameters, rather than in files.
//!
//! Options:
//! - `-init`: lines `name section:option`: the parameter `name` is what `option` of `section` is,
//!   where the recipe of `section` is given the value that was published before, if there is one;
//! - every other option that does not begin with `-` is a parameter whose value the profile gives;
//!   such a name in `-init` is passed over.
//!
//! Sets each `name`, takes `option` away from its section, so that this part is the only place to
//! get it from, and sets `-publish` to the names for the `publish` part that `-extends` this one.
//! A section of `-init` must not be referred to before; a later one may refer to this part for
//! the names of earlier ones. Values that are secrets stay secrets. New values are published, as
//! JSON (see `publish.serialised`) and added to what is published already, when the part is
//! installed or updated.

use std::path::PathBuf;
use std::sync::Arc;

use indexmap::IndexMap;
use slapos_engine::{Part, PartContext, PartError, PartInit, ProfileError, Recipe};
use slapos_slap::PartitionPort;
use slapos_sys::Secret;

use crate::common::Literal;
use crate::jinja::json;
use crate::slapconfiguration::{of_json, port};

/// The recipe.
pub(crate) struct PublishEarly {
    slap: Option<Arc<dyn PartitionPort>>,
}

impl PublishEarly {
    pub(crate) fn new(slap: Option<Arc<dyn PartitionPort>>) -> Self {
        Self { slap }
    }
}

impl Recipe for PublishEarly {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let port = port(self.slap.as_ref(), init)?.clone();
        let published = published(&port.partition().connection);
        let mut wanted = published.clone();
        for (section, names) in sections(init)? {
            take_from(init, &section, &names, &mut wanted)?;
        }
        let options = init.options().into_keys();
        let names: Vec<String> =
            options.filter(|name| name != "recipe" && !name.starts_with(['-', '_', '<'])).collect();
        init.set("-publish", &names.join(" "));
        let is_published = wanted == published;
        Ok(Box::new(Early { port, wanted, is_published }))
    }
}

/// What the Master has, by name.
fn published(connection: &IndexMap<String, String>) -> IndexMap<String, Literal> {
    let text = connection.get("_").and_then(|text| serde_json::from_str(text).ok());
    match text.map(|json: serde_json::Value| of_json(&json)) {
        Some(Literal::Dict(pairs)) => {
            pairs.into_iter().map(|(name, value)| (name.to_text(), value)).collect()
        }
        _ => connection
            .iter()
            .map(|(name, value)| (name.clone(), Literal::Str(value.clone())))
            .collect(),
    }
}

/// Section → parameter → option, in the order of `-init`.
type Sections = IndexMap<String, IndexMap<String, String>>;

fn sections(init: &PartInit<'_>) -> Result<Sections, ProfileError> {
    let mut sections = Sections::new();
    let text = init.require("-init")?;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let parsed = match words[..] {
            [name, place] => place.split_once(':').map(|(section, option)| (name, section, option)),
            _ => None,
        };
        let Some((name, section, option)) = parsed else {
            let message = format!("`{line}` is not of the form `name section:option`");
            return Err(init.error_at_word("-init", line, &message, None));
        };
        if init.get(name).is_none() {
            let names = sections.entry(section.to_owned()).or_default();
            names.insert(name.to_owned(), option.to_owned());
        }
    }
    Ok(sections)
}

/// Initialises `section` with what was published, and takes its values.
fn take_from(
    init: &mut PartInit<'_>,
    section: &str,
    names: &IndexMap<String, String>,
    wanted: &mut IndexMap<String, Literal>,
) -> Result<(), ProfileError> {
    if init.is_begun(section) {
        let message = format!("[{section}] was initialised before its published values were known");
        let help = format!("refer to [{}] instead of [{section}]", init.name());
        return Err(init.error_at_word("-init", section, &message, Some(&help)));
    }
    for (name, option) in names {
        if let Some(value) = wanted.get(name) {
            // It is in time: that was looked at above.
            let _ = init.preset(section, option, &value.to_option());
        }
    }
    for (name, option) in names {
        let Some(value) = init.try_option(section, option)? else {
            continue;
        };
        wanted.insert(name.clone(), Literal::of_option(&value));
        match init.is_secret(section, option) {
            true => init.set_secret(name, Secret::new(value)),
            false => init.set(name, &value),
        }
        init.remove_in(section, option);
        let help = format!("part `{0}` took it: refer to ${{{0}:{name}}}", init.name());
        init.explain_missing(section, &format!("{option}`"), &help);
    }
    Ok(())
}

struct Early {
    port: Arc<dyn PartitionPort>,
    wanted: IndexMap<String, Literal>,
    is_published: bool,
}

impl Early {
    fn publish(&self) -> Result<(), PartError> {
        if self.is_published {
            return Ok(());
        }
        let pairs = self.wanted.iter().map(|(name, value)| (name.as_str().into(), value.clone()));
        let text = json::of_literal(&Literal::Dict(pairs.collect()));
        self.port.publish(&IndexMap::from([("_".to_owned(), text)])).map_err(|error| {
            PartError::new(format!("cannot publish the connection parameters: {error}"))
        })
    }
}

impl Part for Early {
    fn install(&self, _cx: &PartContext<'_>) -> Result<Vec<PathBuf>, PartError> {
        self.publish().map(|()| Vec::new())
    }

    fn update(&self, _cx: &PartContext<'_>) -> Result<(), PartError> {
        self.publish()
    }

    fn needs_update(&self) -> Option<String> {
        (!self.is_published).then(|| "the Master does not have its values yet".to_owned())
    }

    fn is_trivial(&self) -> bool {
        true
    }
}
