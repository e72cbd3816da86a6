//! From a profile to parts ready to be installed: runs recipes' `initialise` where references lead.

mod buildout_section;
pub(crate) mod develop;
mod dynamic;
mod extensions;
mod port;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use indexmap::IndexMap;
use slapos_profile::{Host, Profile, ProfileError, Resolver, closest};

use crate::build::Settings;
use crate::finish::Finishing;
use crate::hints::Hints;
use crate::hold::Holds;
use crate::identity::Fingerprint;
use crate::ledger::Ledger;
use crate::live::Live;
use crate::recipe::{Part, PartInit, Recipes};
use crate::secret::Secrets;
use crate::shared::SharedPart;

use buildout_section::{buildout_section, own_python};
use dynamic::Dynamic;
use port::Port;

/// A part whose recipe has spoken.
pub(crate) struct Prepared {
    pub(crate) name: String,
    pub(crate) part: Option<Box<dyn Part>>,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) identity: String,
    /// Parts that must be there before.
    pub(crate) after: BTreeSet<String>,
    pub(crate) shared: Option<SharedPart>,
    /// `file:line` of the section.
    pub(crate) at: String,
    /// Option → `file:line`.
    pub(crate) option_lines: HashMap<String, String>,
}

/// What a recipe gave besides the part.
#[derive(Default)]
struct Extras {
    inputs: BTreeMap<String, String>,
    shared: Option<SharedPart>,
    recipe: String,
    version: u32,
}

/// Builds recipes as the resolver reaches their sections.
pub(crate) struct Initialiser<'a> {
    profile: &'a Profile,
    recipes: &'a dyn Recipes,
    settings: &'a Settings,
    ledger: &'a Ledger,
    shared_lists: Vec<PathBuf>,
    holds: Arc<Holds>,
    parts: HashMap<String, Box<dyn Part>>,
    extras: HashMap<String, Extras>,
    /// Identities of sections that cannot change any more.
    settled: HashMap<String, String>,
    secrets: Secrets,
    hints: Hints,
    dynamic: Dynamic,
    offline: bool,
}

/// All that a plan is made from.
pub(crate) struct Initialised {
    /// Wanted parts and what they refer to, in Buildout's order.
    pub(crate) parts: Vec<Prepared>,
    /// Directories of `[buildout]` to create.
    pub(crate) directories: Vec<PathBuf>,
    pub(crate) secrets: Secrets,
    pub(crate) live: Live,
    /// Nothing may be downloaded.
    pub(crate) offline: bool,
    /// Where `.installed.cfg` goes, if anywhere.
    pub(crate) installed: Option<PathBuf>,
    /// The lists of shared parts that were looked at.
    pub(crate) holds: Arc<Holds>,
    /// What people should know of the profile.
    pub(crate) notices: Vec<String>,
    /// What is done after the parts.
    pub(crate) finishing: Finishing,
    /// Parts, and lines that their recipes said.
    pub(crate) said: Vec<(String, String)>,
}

/// Initialises all wanted parts and what they refer to.
pub(crate) fn initialise(
    profile: &Profile,
    recipes: &dyn Recipes,
    settings: &Settings,
    ledger: &Ledger,
) -> Result<Initialised, ProfileError> {
    let mut resolver = Resolver::new(profile);
    let mut host = Initialiser {
        profile,
        recipes,
        settings,
        ledger,
        shared_lists: settings.shared_part_list.clone(),
        holds: Arc::default(),
        parts: HashMap::new(),
        extras: HashMap::new(),
        settled: HashMap::new(),
        secrets: Secrets::default(),
        hints: Hints::default(),
        dynamic: Dynamic::new(),
        offline: settings.offline,
    };
    let mut notices = Vec::new();
    for (section, options) in &settings.frozen {
        for (option, text) in options {
            resolver.set(section, option, text);
        }
    }
    let visited = visit(&mut resolver, &mut host, &mut notices);
    let (directories, finishing) = visited.map_err(|error| {
        // A recipe may have put into words what another one called secret.
        host.hints.explain(error).redacted(|text| host.secrets.redact(text))
    })?;
    let order = resolver.order().to_vec();
    let parts = order.iter().filter_map(|name| host.finish(&resolver, name, &order)).collect();
    let said = host.dynamic.said.drain(..);
    let said = said.map(|(part, text)| (part, host.secrets.redact(&text))).collect();
    let live = host.dynamic.into_live(&resolver, profile);
    let installed = installed(&resolver);
    let (secrets, offline, holds) = (host.secrets, host.offline, host.holds);
    let found = Initialised {
        parts,
        directories,
        secrets,
        live,
        offline,
        installed,
        holds,
        notices,
        finishing,
        said,
    };
    Ok(found)
}

/// Initialises `[buildout]`, the wanted parts and what they refer to; returns the directories of
/// `[buildout]`, and what is done after the parts.
fn visit(
    resolver: &mut Resolver<'_>,
    host: &mut Initialiser<'_>,
    notices: &mut Vec<String>,
) -> Result<(Vec<PathBuf>, Finishing), ProfileError> {
    let directories = buildout_section(resolver, host)?;
    let finishing = extensions::check(resolver, host, notices)?;
    own_python(resolver, host)?;
    develop::parts(resolver, host, notices)?;
    let settings = host.settings;
    for part in wanted_parts(resolver, host)? {
        match settings.install {
            None => resolver.section_named_in(host, &part, "buildout", "parts")?,
            Some(_) => resolver.section(host, &part)?,
        }
        if !host.parts.contains_key(&part) && !settings.frozen.contains_key(&part) {
            return Err(without_recipe(resolver, &part));
        }
    }
    Ok((directories, finishing))
}

/// `[buildout] installed`, which is absolute by now, or empty.
fn installed(resolver: &Resolver<'_>) -> Option<PathBuf> {
    let path = value(resolver, "buildout", "installed").filter(|path| !path.is_empty())?;
    Some(PathBuf::from(path))
}

fn wanted_parts(
    resolver: &mut Resolver<'_>,
    host: &mut Initialiser<'_>,
) -> Result<Vec<String>, ProfileError> {
    if let Some(parts) = &host.settings.install {
        return Ok(parts.clone());
    }
    let parts = match resolver.get("buildout") {
        Some(buildout) if buildout.options.contains_key("parts") => {
            resolver.option(host, "buildout", "parts")?
        }
        _ => String::new(),
    };
    Ok(parts.split_whitespace().map(str::to_owned).collect())
}

fn without_recipe(resolver: &Resolver<'_>, part: &str) -> ProfileError {
    resolver.error_at_word(
        "buildout",
        "parts",
        part,
        format!("`{part}` is listed as a part, but [{part}] has no option `recipe`"),
        Some(format!("add `recipe = ...` to [{part}], or take it off the list")),
    )
}

impl Host for Initialiser<'_> {
    fn initialise(
        &mut self,
        resolver: &mut Resolver<'_>,
        section: &str,
    ) -> Result<(), ProfileError> {
        let name = value(resolver, section, "recipe").unwrap_or_default().to_owned();
        let Some(recipe) = self.recipes.find(name.trim()) else {
            return Err(self.unknown_recipe(resolver, section, &name));
        };
        let extras = self.extras.entry(section.to_owned()).or_default();
        extras.recipe = name.trim().to_owned();
        extras.version = recipe.version();
        self.dynamic.depend_on_barriers(resolver, section);
        let part = {
            let mut port = Port { host: self, resolver };
            recipe.initialise(&mut PartInit::new(&mut port, section))?
        };
        self.parts.insert(section.to_owned(), part);
        let identity = self.identity(resolver, section, &mut Vec::new());
        self.settled.insert(section.to_owned(), identity);
        Ok(())
    }
}

fn value<'r>(resolver: &'r Resolver<'_>, section: &str, option: &str) -> Option<&'r str> {
    resolver.get(section)?.options.get(option).map(|option| option.value.as_str())
}

impl Initialiser<'_> {
    fn unknown_recipe(&self, resolver: &Resolver<'_>, section: &str, name: &str) -> ProfileError {
        let help = match closest(name, self.recipes.names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                "the name of a recipe is that of a distribution, and perhaps `:` and an entry point"
                    .to_owned()
            }
        };
        resolver.error_at(
            section,
            "recipe",
            format!("there is no recipe `{name}`, which part `{section}` needs"),
            Some(help),
        )
    }

    /// What `section` is made of, as far as it is known now.
    fn fingerprint(
        &self,
        resolver: &Resolver<'_>,
        section: &str,
        visiting: &mut Vec<String>,
    ) -> Fingerprint {
        let extras = self.extras.get(section);
        let mut fingerprint = Fingerprint {
            recipe: extras.map(|extras| extras.recipe.clone()).unwrap_or_default(),
            recipe_version: extras.map_or(0, |extras| extras.version),
            options: options(resolver, section),
            references: BTreeMap::new(),
            inputs: extras.map(|extras| extras.inputs.clone()).unwrap_or_default(),
        };
        visiting.push(section.to_owned());
        for other in references(resolver, section) {
            // Sections may refer to each other in a circle while they are initialised (options
            // may not): the second visit adds nothing that the first does not.
            if !visiting.contains(&other) {
                let identity = self.identity(resolver, &other, visiting);
                fingerprint.references.insert(other, identity);
            }
        }
        visiting.pop();
        if !self.secrets.is_empty() {
            let reachable = reachable(resolver, section);
            self.secrets.conceal(section, &reachable, &mut fingerprint);
        }
        fingerprint
    }

    fn identity(
        &self,
        resolver: &Resolver<'_>,
        section: &str,
        visiting: &mut Vec<String>,
    ) -> String {
        match self.settled.get(section) {
            Some(identity) => identity.clone(),
            None => self.fingerprint(resolver, section, visiting).identity(),
        }
    }

    /// Parts that must be there before `name`.
    fn before(&self, resolver: &Resolver<'_>, name: &str, order: &[String]) -> BTreeSet<String> {
        let mut before = parts_before(resolver, name, order);
        before.extend(spelled_out(resolver, name, order));
        before
    }

    fn finish(
        &mut self,
        resolver: &Resolver<'_>,
        name: &str,
        order: &[String],
    ) -> Option<Prepared> {
        let part = self.parts.remove(name)?;
        let fingerprint = self.fingerprint(resolver, name, &mut Vec::new());
        let section = self.profile.sections().get(name);
        let at = section
            .map_or_else(|| format!("[{name}]"), |section| self.profile.location(section.header));
        let lines = resolver.get(name).map(|resolved| {
            let spanned = resolved.options.iter();
            spanned
                .filter_map(|(option, value)| Some((option, value.span?)))
                .map(|(option, span)| (option.clone(), self.profile.location(span)))
                .collect()
        });
        Some(Prepared {
            name: name.to_owned(),
            part: Some(part),
            identity: fingerprint.identity(),
            fingerprint,
            after: self.before(resolver, name, order),
            shared: self.extras.get_mut(name).and_then(|extras| extras.shared.take()),
            at,
            option_lines: lines.unwrap_or_default(),
        })
    }
}

/// Parts whose place below the directory of parts the options of `name` spell out: as Buildout works
/// on them in their order, profiles get away without a reference. Only those before it in `order`.
fn spelled_out(resolver: &Resolver<'_>, name: &str, order: &[String]) -> BTreeSet<String> {
    let position = order.iter().position(|part| part == name).unwrap_or(order.len());
    let parts = value(resolver, "buildout", "parts-directory").unwrap_or_default();
    let options = resolver.get(name).into_iter().flat_map(|section| section.options.values());
    let places = options.flat_map(|option| option.value.split(parts).skip(1));
    let places = places.filter(|_| !parts.is_empty()).filter_map(|rest| rest.strip_prefix('/'));
    let names = places.map(|rest| rest.split(['/', ' ', '\n', ':', '"', '\'']).next());
    let named: BTreeSet<&str> = names.flatten().collect();
    order[..position].iter().filter(|part| named.contains(part.as_str())).cloned().collect()
}

fn options(resolver: &Resolver<'_>, section: &str) -> IndexMap<String, String> {
    let Some(resolved) = resolver.get(section) else {
        return IndexMap::new();
    };
    resolved.options.iter().map(|(name, option)| (name.clone(), option.value.clone())).collect()
}

fn references(resolver: &Resolver<'_>, section: &str) -> BTreeSet<String> {
    let mut references =
        resolver.get(section).map(|resolved| resolved.references.clone()).unwrap_or_default();
    references.remove("buildout");
    references.remove(section);
    references
}

/// `section` and all sections it refers to, directly or not.
fn reachable(resolver: &Resolver<'_>, section: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut stack = vec![section.to_owned()];
    while let Some(name) = stack.pop() {
        if found.insert(name.clone()) {
            stack.extend(references(resolver, &name));
        }
    }
    found
}

/// Parts that `name` refers to, directly or through sections that are no parts. Only those before
/// it in `order`: of a circle of parts, the first to end its initialisation comes first.
fn parts_before(resolver: &Resolver<'_>, name: &str, order: &[String]) -> BTreeSet<String> {
    let position = order.iter().position(|part| part == name).unwrap_or(order.len());
    let before: BTreeSet<&String> = order[..position].iter().collect();
    let mut found = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut stack = vec![name.to_owned()];
    while let Some(section) = stack.pop() {
        for other in references(resolver, &section) {
            if !seen.insert(other.clone()) {
                continue;
            }
            if before.contains(&other) {
                found.insert(other);
            } else {
                stack.push(other);
            }
        }
    }
    found
}
