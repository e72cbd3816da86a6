//! `[buildout] extensions`: modules of Python that change Buildout itself. Those of SlapOS are known
//! by name; others cannot be loaded, and a profile that needs one is refused.

use slapos_profile::{ProfileError, Resolver};

use super::{Initialiser, value};
use crate::finish::Finishing;
use crate::strip::{self, Strip};

/// What has nothing to do here: the profile is read for the Python that it builds.
const REBOOTSTRAP: &str = "slapos.rebootstrap";
/// Marks a directory whose parts are shared.
const SHARED: &str = "slapos.extension.shared";
/// Programs of the original that nothing is asked here.
const UNUSED: [&str; 2] = ["file-binary", "find-binary"];

/// Looks at the extensions that the profile asks for; `notices` gets what people should know.
pub(super) fn check(
    resolver: &Resolver<'_>,
    host: &Initialiser<'_>,
    notices: &mut Vec<String>,
) -> Result<Finishing, ProfileError> {
    let mut finishing = Finishing::default();
    let option = |option| value(resolver, "buildout", option).unwrap_or_default().trim();
    for name in option("extensions").split_whitespace() {
        match name {
            REBOOTSTRAP => {}
            SHARED => finishing.marks_shared = !option("shared-parts").is_empty(),
            strip::EXTENSION => finishing.strip = strip_of(resolver, host, notices),
            _ => {
                let message = format!("the extension `{name}` of Buildout cannot be loaded");
                let help = "take it off `extensions`, if the profile can do without";
                let help = Some(help.to_owned());
                return Err(resolver.error_at_word("buildout", "extensions", name, message, help));
            }
        }
    }
    Ok(finishing)
}

/// What `[buildout]` says of stripping; `None`, with a notice, where nobody can do it.
fn strip_of(
    resolver: &Resolver<'_>,
    host: &Initialiser<'_>,
    notices: &mut Vec<String>,
) -> Option<Strip> {
    let option = |option| value(resolver, "buildout", option).map(str::trim);
    for unused in UNUSED.iter().filter(|name| option(name).is_some()) {
        notices.push(format!("`{unused}` of [buildout] has no effect: no program is asked that"));
    }
    let name = option("strip-binary").filter(|name| !name.is_empty()).unwrap_or("strip");
    let Some(program) = strip::program(name, &host.settings.directory) else {
        notices.push(format!("there is no program `{name}`: programs keep their symbols"));
        return None;
    };
    let lines = option("do-not-strip-path").unwrap_or_default().lines().map(str::trim);
    // `${buildout:parts-directory}` is not absolute yet where it is written here.
    let spared = lines.filter(|line| !line.is_empty());
    let spared = spared.map(|line| host.settings.directory.join(line)).collect();
    Some(Strip { program, spared })
}
