//! `[buildout] extensions`: modules of Python that change Buildout itself. Those of SlapOS are known
//! by name; others cannot be loaded, and a profile that needs one is refused.

use slapos_profile::{ProfileError, Resolver};

use super::value;

/// What has nothing to do here: the profile is read for the Python that it builds, and shared parts
/// are what they are.
const BUILT_IN: [&str; 2] = ["slapos.rebootstrap", "slapos.extension.shared"];
/// What only makes programs smaller.
const STRIP: &str = "slapos.extension.strip";

/// Looks at the extensions that the profile asks for, and at what only Buildout does before its parts;
/// returns what people should know.
pub(super) fn check(resolver: &Resolver<'_>) -> Result<Vec<String>, ProfileError> {
    if value(resolver, "buildout", "develop").is_some_and(|trees| !trees.trim().is_empty()) {
        let message = "`develop` of [buildout] is not known here";
        let help = "write a part with `recipe = zc.recipe.egg:develop` and `setup = ...` instead";
        return Err(resolver.error_at("buildout", "develop", message, Some(help.to_owned())));
    }
    let names = value(resolver, "buildout", "extensions").unwrap_or_default();
    let mut notices = Vec::new();
    for name in names.split_whitespace().filter(|name| !BUILT_IN.contains(name)) {
        if name != STRIP {
            let message = format!("the extension `{name}` of Buildout cannot be loaded");
            let help = "take it off `extensions`, if the profile can do without";
            let help = Some(help.to_owned());
            return Err(resolver.error_at_word("buildout", "extensions", name, message, help));
        }
        notices.push(format!("{STRIP} is not known here: programs keep their symbols"));
    }
    Ok(notices)
}
