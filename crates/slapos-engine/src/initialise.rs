//! From a profile to parts ready to be installed: runs recipes' `initialise` where references lead.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;
use slapos_profile::{Host, Profile, ProfileError, Resolver, closest};
use slapos_sys::Secret;

use crate::build::Settings;
use crate::hints::Hints;
use crate::hold::Holds;
use crate::identity::{BASE_LOCATION, Fingerprint, without_base};
use crate::ledger::Ledger;
use crate::recipe::{InitPort, Part, PartInit, Recipes};
use crate::secret::Secrets;
use crate::shared::{self, SharedPart};

/// Options by which a section says what it makes.
const PRODUCT_OPTIONS: [&str; 4] = ["location", "target", "output", "rendered"];

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
    offline: bool,
}

/// All that a plan is made from.
pub(crate) struct Initialised {
    /// Wanted parts and what they refer to, in Buildout's order.
    pub(crate) parts: Vec<Prepared>,
    /// Directories of `[buildout]` to create.
    pub(crate) directories: Vec<PathBuf>,
    pub(crate) secrets: Secrets,
    /// Nothing may be downloaded.
    pub(crate) offline: bool,
    /// The lists of shared parts that were looked at.
    pub(crate) holds: Arc<Holds>,
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
        offline: settings.offline,
    };
    for (section, options) in &settings.frozen {
        for (option, text) in options {
            resolver.set(section, option, text);
        }
    }
    let directories = visit(&mut resolver, &mut host).map_err(|error| host.hints.explain(error))?;
    let order = resolver.order().to_vec();
    let parts = order.iter().filter_map(|name| host.finish(&resolver, name, &order)).collect();
    let Initialiser { secrets, offline, holds, .. } = host;
    Ok(Initialised { parts, directories, secrets, offline, holds })
}

/// Initialises `[buildout]`, the wanted parts and what they refer to; returns the directories of
/// `[buildout]`.
fn visit(
    resolver: &mut Resolver<'_>,
    host: &mut Initialiser<'_>,
) -> Result<Vec<PathBuf>, ProfileError> {
    let directories = buildout_section(resolver, host)?;
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
    Ok(directories)
}

/// Gives `[buildout]` its directory, makes its `*-directory` options absolute, and reads what
/// concerns the engine.
fn buildout_section(
    resolver: &mut Resolver<'_>,
    host: &mut Initialiser<'_>,
) -> Result<Vec<PathBuf>, ProfileError> {
    let directory = host.settings.directory.clone();
    resolver.set("buildout", "directory", directory.to_string_lossy());
    resolver.section(host, "buildout")?;
    let mut directories = Vec::new();
    for (option, default) in [
        ("bin-directory", "bin"),
        ("parts-directory", "parts"),
        ("eggs-directory", "eggs"),
        ("develop-eggs-directory", "develop-eggs"),
    ] {
        let value = resolver.get("buildout").and_then(|b| b.options.get(option));
        let relative = value.map_or(default, |option| option.value.as_str());
        let absolute = directory.join(relative);
        resolver.set("buildout", option, absolute.to_string_lossy());
        if !option.contains("eggs") {
            directories.push(absolute);
        }
    }
    host.offline |=
        value(resolver, "buildout", "offline").is_some_and(|text| text.trim() == "true");
    if host.shared_lists.is_empty() {
        let list = resolver.get("buildout").and_then(|b| b.options.get("shared-part-list"));
        let lines = list.map(|option| option.value.clone()).unwrap_or_default();
        host.shared_lists = lines
            .lines()
            .map(|line| line.trim().trim_end_matches('/'))
            .filter(|line| !line.is_empty())
            .map(|line| directory.join(line))
            .collect();
    }
    Ok(directories)
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
                "recipes written in Python cannot be used by this version, only the native ones \
                 that come with it"
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
            after: parts_before(resolver, name, order),
            shared: self.extras.get_mut(name).and_then(|extras| extras.shared.take()),
            at,
            option_lines: lines.unwrap_or_default(),
        })
    }
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

/// The initialiser and the resolver as one thing that a recipe may use.
struct Port<'l, 'h, 'r> {
    host: &'l mut Initialiser<'h>,
    resolver: &'l mut Resolver<'r>,
}

impl InitPort for Port<'_, '_, '_> {
    fn get(&self, section: &str, option: &str) -> Option<&str> {
        value(self.resolver, section, option)
    }

    fn options(&self, section: &str) -> IndexMap<String, String> {
        options(self.resolver, section)
    }

    fn visit(&mut self, from: &str, section: &str) -> Result<(), ProfileError> {
        self.resolver.section(self.host, section)?;
        if section != from && section != "buildout" {
            self.resolver.note_reference(from, section);
        }
        Ok(())
    }

    fn option(
        &mut self,
        from: &str,
        section: &str,
        option: &str,
    ) -> Result<Option<String>, ProfileError> {
        if section != from {
            self.visit(from, section)?;
        }
        self.resolver.try_option(self.host, section, option)
    }

    fn required(
        &mut self,
        from: &str,
        section: &str,
        option: &str,
    ) -> Result<String, ProfileError> {
        if section != from {
            self.visit(from, section)?;
        }
        self.resolver.option(self.host, section, option)
    }

    fn error_at_word(
        &self,
        section: &str,
        option: &str,
        word: &str,
        message: &str,
        help: Option<&str>,
    ) -> ProfileError {
        let help = help.map(str::to_owned);
        self.resolver.error_at_word(section, option, word, message, help)
    }

    fn set(&mut self, section: &str, option: &str, value: &str) {
        self.resolver.set(section, option, value);
    }

    fn set_secret(&mut self, section: &str, option: &str, value: Secret) {
        self.resolver.set(section, option, value.expose());
        self.host.secrets.add(section, option, value);
    }

    fn is_secret(&self, section: &str, option: &str) -> bool {
        self.host.secrets.holds(section, option)
    }

    fn remove(&mut self, section: &str, option: &str) {
        self.resolver.remove(section, option);
    }

    fn is_begun(&self, section: &str) -> bool {
        self.resolver.get(section).is_some()
    }

    fn explain_missing(&mut self, section: &str, prefix: &str, help: &str) {
        self.host.hints.add(section, prefix, help);
    }

    fn substitute_file(
        &mut self,
        section: &str,
        text: &str,
        name: &str,
    ) -> Result<String, ProfileError> {
        self.resolver.substitute_file(self.host, section, text, name)
    }

    fn error(
        &self,
        section: &str,
        option: &str,
        message: &str,
        help: Option<&str>,
    ) -> ProfileError {
        self.resolver.error_at(section, option, message, help.map(str::to_owned))
    }

    fn previous(&self, section: &str, option: &str) -> Option<&str> {
        self.host.ledger.parts.get(section)?.option(option)
    }

    fn made_by(&self, section: &str, path: &Path) -> bool {
        references(self.resolver, section).iter().any(|other| {
            PRODUCT_OPTIONS.iter().any(|option| {
                let product = value(self.resolver, other, option);
                product.is_some_and(|product| !product.is_empty() && path.starts_with(product))
            })
        })
    }

    fn add_input(&mut self, section: &str, name: &str, digest: &str) {
        let extras = self.host.extras.entry(section.to_owned()).or_default();
        extras.inputs.insert(name.to_owned(), digest.to_owned());
    }

    fn shared_location(&mut self, section: &str) -> Result<Option<PathBuf>, ProfileError> {
        match value(self.resolver, section, "shared").unwrap_or("false") {
            "true" => {}
            "false" => return Ok(None),
            other => {
                let message = format!("`shared` must be `true` or `false`, not `{other}`");
                return Err(self.error(section, "shared", &message, None));
            }
        }
        let fingerprint = self.host.fingerprint(self.resolver, section, &mut Vec::new());
        let mut made_of = format!("{}-{}", fingerprint.recipe, fingerprint.recipe_version);
        for (other, identity) in &fingerprint.references {
            made_of.push_str(&format!(" {other}:{identity}"));
        }
        let base = fingerprint.options.get(BASE_LOCATION);
        for (input, digest) in &fingerprint.inputs {
            made_of.push_str(&format!(" {}:{digest}", without_base(input, base)));
        }
        let signature = shared::signature(&fingerprint.options, &made_of);
        self.host.holds.take(&self.host.shared_lists, &self.host.settings.cancellation);
        let found = SharedPart::find(&self.host.shared_lists, section, signature);
        let location = found.as_ref().map(|shared| shared.location.clone());
        if let Some(location) = &location {
            self.resolver.set(section, "location", location.to_string_lossy());
        }
        self.host.extras.entry(section.to_owned()).or_default().shared = found;
        Ok(location)
    }

    fn directory(&self) -> &Path {
        &self.host.settings.directory
    }

    fn offline(&self) -> bool {
        self.host.offline
    }

    fn exists(&self, section: &str) -> bool {
        self.resolver.exists(section)
    }

    fn nested_settings(&self, section: &str) -> Option<Settings> {
        let mut settings = self.host.settings.nested(section)?;
        settings.shared_part_list = self.host.shared_lists.clone();
        settings.offline = self.host.offline;
        Some(settings)
    }
}
