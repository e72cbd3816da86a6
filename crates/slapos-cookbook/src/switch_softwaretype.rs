//! `slapos.cookbook:switch-softwaretype`: the profile of the instance's software type, run as a
//! buildout inside this one.
//!
//! Options: one per software type, named after it. Its value says where the profile of that type
//! is: `section:option` of this profile (that section is then made before), an absolute path, a
//! path below the buildout directory, or a URL. `default` and `RootSoftwareInstance` stand for
//! each other where only one is given.
//! - `override`: a typed mapping of software types to other profiles. The profile of such a type is
//!   then the other one, and the one that the option names is what a command line would give as
//!   `buildout:extends=`: it is read after the other, unless that one extends it itself, so where
//!   both say something, the option's profile wins. Nothing, and types that are not in the mapping,
//!   change nothing.
//!
//! The section `[slap-configuration]` (a `slapos.cookbook:slapconfiguration` part) is needed. Its
//! options, and those of `[slap-connection]` if there is one, are in the inner profile exactly as
//! they are here: nothing in them is substituted again, whatever the parameters of the instance
//! hold, and no recipe computes them again. A section that uses one of the two as a macro (`<=`)
//! gets all their options but those whose text has `$${`. The inner buildout gets the directories
//! of eggs and programs and `offline` of this one; it works in the same directory with the same
//! limits, and keeps its own record, `.slapos/installed-<part>.json`.
//!
//! What the inner buildout has to do is found out whenever this one is planned, so a part with
//! nothing to do inside counts as one with nothing to do. When something before it is worked on,
//! it looks again afterwards. Inner parts that are no longer wanted are removed by the inner
//! buildout; when this part goes, all of them go with it. (Not so when the part stays and gets
//! another recipe: then they stay.)

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use indexmap::IndexMap;
use slapos_engine::{
    Action, BuildError, Buildout, Event, Part, PartContext, PartError, PartInit, Plan,
    ProfileError, Recipe, Recipes, Settings, Turn, closest,
};
use slapos_profile::{Assignment, Location, escape};
use slapos_slap::DEFAULT_SOFTWARE_TYPE;
use slapos_sources::Fetcher;

use crate::common::Literal;
use crate::files::ProfileFiles;
use crate::load::load_profile;
use crate::registry::Registry;

/// Name of the recipe.
pub(crate) const NAME: &str = "slapos.cookbook:switch-softwaretype";
/// What the default software type is called besides `default`.
const ROOT_SOFTWARE_TYPE: &str = "RootSoftwareInstance";
/// The section that holds what the Master says.
const CONFIGURATION: &str = "slap-configuration";
/// The section that says how the Master is reached.
const CONNECTION: &str = "slap-connection";
/// The option that has other profiles for software types.
const OVERRIDE: &str = "override";
/// Options of `[buildout]` that are the same inside.
const BUILDOUT_OPTIONS: [&str; 5] =
    ["directory", "offline", "eggs-directory", "develop-eggs-directory", "bin-directory"];

/// The recipe.
#[derive(Clone)]
pub(crate) struct SwitchSoftwareType {
    fetcher: Arc<Fetcher>,
    /// All other recipes: what they remember during a run holds inside as well.
    others: Arc<Registry>,
}

impl SwitchSoftwareType {
    pub(crate) fn new(fetcher: Arc<Fetcher>, others: Registry) -> Self {
        Self { fetcher, others: Arc::new(others) }
    }
}

/// The recipes of the inner buildout: the others and this one.
impl Recipes for SwitchSoftwareType {
    fn find(&self, name: &str) -> Option<Arc<dyn Recipe>> {
        match name {
            NAME => Some(Arc::new(self.clone())),
            _ => self.others.find(name),
        }
    }

    fn names(&self) -> Vec<&str> {
        let mut names = self.others.names();
        names.push(NAME);
        names
    }
}

impl Recipe for SwitchSoftwareType {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let configuration = plain_options(configuration(init)?);
        let option = chosen_option(init, &configuration)?;
        let named = location(init, &option)?;
        let overriding = overriding(init, &option)?;
        let mut settings = init.nested_settings()?;
        let origin = format!("<part {}>", init.name());
        let mut assignments = Vec::new();
        for name in BUILDOUT_OPTIONS {
            let value = escape(&init.option("buildout", name)?);
            assignments.push(Assignment::new("buildout", name, value, &origin));
        }
        let profile = match overriding {
            None => named,
            Some(other) => {
                let place = one_word(init, &option, &named)?;
                assignments.push(Assignment::new("buildout", "extends", place, &origin));
                other
            }
        };
        let mut frozen = IndexMap::from([(CONFIGURATION.to_owned(), configuration)]);
        if init.has_section(CONNECTION) {
            let connection = plain_options(init.section(CONNECTION)?);
            frozen.insert(CONNECTION.to_owned(), connection);
        }
        for (section, options) in &mut frozen {
            assignments.extend(for_macros(section, options, &origin));
            // An inner profile may say how to compute the section: it has been.
            options.insert("recipe".to_owned(), String::new());
        }
        settings.frozen = frozen;
        Ok(Box::new(Switched { recipes: self.clone(), option, profile, assignments, settings }))
    }
}

/// The options of `[slap-configuration]`.
fn configuration(init: &mut PartInit<'_>) -> Result<IndexMap<String, String>, ProfileError> {
    if !init.has_section(CONFIGURATION) {
        let message = format!("part `{}` needs a section [{CONFIGURATION}]", init.name());
        let help = "add one with `recipe = slapos.cookbook:slapconfiguration`";
        return Err(init.error("recipe", &message, Some(help)));
    }
    init.section(CONFIGURATION)
}

/// A section without what makes it a part or an extension of another one.
fn plain_options(mut options: IndexMap<String, String>) -> IndexMap<String, String> {
    options.retain(|name, _| name != "recipe" && !name.starts_with('<'));
    options
}

/// The options as the inner profile needs them to have the section as a macro. `$${` in a text
/// cannot be protected from substitution by any spelling, so such options are left out.
fn for_macros<'o>(
    section: &'o str,
    options: &'o IndexMap<String, String>,
    origin: &'o str,
) -> impl Iterator<Item = Assignment> + 'o {
    let can_be_spelled = options.iter().filter(|(_, text)| !text.contains("$${"));
    can_be_spelled.map(move |(name, text)| Assignment::new(section, name, escape(text), origin))
}

/// The option that names the profile of the software type.
fn chosen_option(
    init: &PartInit<'_>,
    configuration: &IndexMap<String, String>,
) -> Result<String, ProfileError> {
    let Some(wanted) = configuration.get("slap-software-type") else {
        let message = format!("section [{CONFIGURATION}] has no option `slap-software-type`");
        let help = "give it `recipe = slapos.cookbook:slapconfiguration`, which sets it";
        return Err(init.error("recipe", &message, Some(help)));
    };
    let wanted = Literal::of_option(wanted).to_text();
    let known = software_types(init);
    let fallback = match wanted.as_str() {
        DEFAULT_SOFTWARE_TYPE => ROOT_SOFTWARE_TYPE,
        ROOT_SOFTWARE_TYPE => DEFAULT_SOFTWARE_TYPE,
        _ => wanted.as_str(),
    };
    let mut candidates = [wanted.as_str(), fallback].into_iter();
    if let Some(option) = candidates.find(|name| known.iter().any(|known| known == name)) {
        return Ok(option.to_owned());
    }
    let message = format!("there is no software type `{wanted}`, which the instance is to have");
    let help = match closest(&wanted, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the software types are: {}", known.join(", ")),
    };
    Err(init.error("recipe", &message, Some(&help)))
}

/// A type is named by whoever requests the instance: other options must not be taken for one.
fn software_types(init: &PartInit<'_>) -> Vec<String> {
    let options = init.options();
    let is_type = |name: &String| {
        !["recipe", OVERRIDE].contains(&name.as_str()) && !name.starts_with(['_', '<', '-'])
    };
    options.into_keys().filter(is_type).collect()
}

/// Where the profile is that `option` names.
fn location(init: &mut PartInit<'_>, option: &str) -> Result<Location, ProfileError> {
    let text = init.require(option)?.trim().to_owned();
    let reference =
        text.split_once(':').filter(|_| !text.starts_with('/') && !text.contains("://"));
    let place = match reference {
        None => text.clone(),
        Some((section, name)) => {
            if !section.is_empty() && !init.has_section(section) {
                let message = format!("there is no section [{section}]");
                return Err(init.error(option, &message, None));
            }
            let note = format!("[{}] takes its profile from `{text}`", init.name());
            let value = init.option(section, name);
            value.map_err(|error| error.with_note(note))?
        }
    };
    if place.trim().is_empty() {
        let message = format!("`{option}` names no profile");
        return Err(init.error(option, &message, None));
    }
    in_directory(init, option, &place)
}

/// The profile that `override` has for a software type.
fn overriding(init: &PartInit<'_>, software_type: &str) -> Result<Option<Location>, ProfileError> {
    let value = init.get(OVERRIDE).map_or(Literal::None, Literal::of_option);
    let profiles = match value {
        Literal::None => return Ok(None),
        Literal::Str(text) if text.trim().is_empty() => return Ok(None),
        Literal::Dict(profiles) => profiles,
        other => {
            let message = format!("`{OVERRIDE}` must be a typed mapping, not `{other}`");
            let help = "write `!py!{'type': 'profile'}`, as `dumps` in a template does";
            return Err(init.error(OVERRIDE, &message, Some(help)));
        }
    };
    match profiles.into_iter().find(|(name, _)| name.to_text() == software_type) {
        None => Ok(None),
        Some((_, Literal::Str(place))) if !place.trim().is_empty() => {
            in_directory(init, OVERRIDE, &place).map(Some)
        }
        Some((_, other)) => {
            let message = format!("`{OVERRIDE}` gives `{software_type}` no profile, but `{other}`");
            Err(init.error(OVERRIDE, &message, None))
        }
    }
}

/// The text of a place that is to stand in `extends`.
fn one_word(init: &PartInit<'_>, option: &str, place: &Location) -> Result<String, ProfileError> {
    let text = place.to_string();
    if text.contains(char::is_whitespace) {
        let message = format!("{place} cannot be extended, because of the white space in it");
        return Err(init.error(option, &message, None));
    }
    Ok(text)
}

/// A place that is absolute, or relative to the buildout directory.
fn in_directory(init: &PartInit<'_>, option: &str, place: &str) -> Result<Location, ProfileError> {
    let directory = Location::from_path(init.buildout_directory());
    directory
        .and_then(|directory| directory.join(place.trim()))
        .map_err(|error| init.error(option, &error.to_string(), None))
}

/// The part: the inner buildout, as far as it is known before its profile is made.
struct Switched {
    recipes: SwitchSoftwareType,
    /// The option that names the profile.
    option: String,
    profile: Location,
    assignments: Vec<Assignment>,
    settings: Settings,
}

impl Switched {
    fn plan(&self) -> Result<(Buildout, Plan), BuildError> {
        let files = ProfileFiles::new(&self.recipes.fetcher).offline(self.settings.offline);
        let profile = load_profile(&self.profile, files, &self.assignments)?;
        let recipes = Arc::new(self.recipes.clone());
        let mut buildout = Buildout::new(profile, recipes, self.settings.clone());
        let plan = buildout.plan()?;
        Ok((buildout, plan))
    }

    fn run(&self, cx: &PartContext<'_>) -> Result<(), PartError> {
        let (mut buildout, plan) = self.plan().map_err(|error| self.explain(error))?;
        let observer = |event: &Event| {
            // The run that is watched has one plan, the outer one.
            if !matches!(event, Event::PlanMade { .. }) {
                cx.observer().event(event);
            }
        };
        let outcome = buildout.execute(&plan, &observer);
        outcome.map(drop).map_err(|error| self.explain(error))
    }

    /// An error inside, with all that is known of it.
    fn explain(&self, error: BuildError) -> PartError {
        match error {
            BuildError::Cancelled => PartError::cancelled(),
            BuildError::Profile(error) => {
                let explained = PartError::new(error.to_string());
                match error.location() {
                    Some(_) => explained.with_detail(error.render(false).lines()),
                    None => explained.with_help(format!("`{}` names that profile", self.option)),
                }
            }
            BuildError::Part(failures) => {
                let names: Vec<String> =
                    failures.iter().map(|failure| format!("`{}`", failure.part)).collect();
                let whole: Vec<String> = failures.iter().map(ToString::to_string).collect();
                let parts = if names.len() == 1 { "part" } else { "parts" };
                let names = names.join(", ");
                PartError::new(format!("{parts} {names} of {} failed", self.profile))
                    .with_detail(whole.join("\n").lines())
            }
            other => PartError::new(other.to_string()),
        }
    }
}

impl Part for Switched {
    fn install(&self, cx: &PartContext<'_>) -> Result<Vec<PathBuf>, PartError> {
        self.run(cx)?;
        Ok(Vec::new())
    }

    fn update(&self, cx: &PartContext<'_>) -> Result<(), PartError> {
        self.run(cx)
    }

    fn needs_update(&self) -> Option<String> {
        match self.plan() {
            Ok((_, plan)) => reason(&plan),
            // The profile may be made by then; if not, the update says all about the error.
            Err(error) => Some(format!("its profile cannot be used: {}", first_line(&error))),
        }
    }

    fn follows_others(&self) -> bool {
        true
    }

    fn turn(&self) -> Turn {
        Turn::Alone
    }
}

fn first_line(error: &BuildError) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().to_owned()
}

/// What the plan does, in one line; `None` if it does nothing.
fn reason(plan: &Plan) -> Option<String> {
    let mut moving = plan.steps.iter().filter(|step| step.action != Action::Keep);
    let Some(first) = moving.next() else {
        return plan.warnings.first().cloned();
    };
    let text = format!("{} {}: {}", first.action, first.part, first.why());
    Some(match moving.count() {
        0 => text,
        more => format!("{text} (and {more} more)"),
    })
}
