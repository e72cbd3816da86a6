//! `[buildout]` itself: its directories, its Python, and what concerns the engine.

use std::path::PathBuf;

use slapos_profile::{ProfileError, Resolver};

use super::{Initialiser, value};

/// The extension by which a profile says that the Python it builds runs Buildout.
const REBOOTSTRAP: &str = "slapos.rebootstrap";

/// Gives `[buildout]` its directory, makes its `*-directory` options absolute, and reads what
/// concerns the engine.
pub(super) fn buildout_section(
    resolver: &mut Resolver<'_>,
    host: &mut Initialiser<'_>,
) -> Result<Vec<PathBuf>, ProfileError> {
    let directory = host.settings.directory.clone();
    resolver.set("buildout", "directory", directory.to_string_lossy());
    if let Some(python) = host.settings.executable.as_ref()
        && host.profile.raw("buildout", "executable").is_none()
    {
        resolver.set("buildout", "executable", python.to_string_lossy());
    }
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
    let installed = match &host.settings.installed {
        Some(path) => path.clone(),
        None => value(resolver, "buildout", "installed").map_or_else(PathBuf::new, PathBuf::from),
    };
    if !installed.as_os_str().is_empty() {
        resolver.set("buildout", "installed", directory.join(installed).to_string_lossy());
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

/// Where the Python that the profile builds runs Buildout, it is initialised before everything else,
/// with all it needs, and is `${buildout:executable}`.
pub(super) fn own_python(
    resolver: &mut Resolver<'_>,
    host: &mut Initialiser<'_>,
) -> Result<(), ProfileError> {
    let of_buildout = |option| value(resolver, "buildout", option).unwrap_or_default().to_owned();
    let (extensions, section) = (of_buildout("extensions"), of_buildout("python"));
    let section = section.trim();
    let is_own = extensions.split_whitespace().any(|name| name == REBOOTSTRAP);
    if !is_own || section == "buildout" || !resolver.exists(section) {
        return Ok(());
    }
    let executable = resolver.option(host, section, "executable")?;
    resolver.set("buildout", "executable", executable);
    Ok(())
}
