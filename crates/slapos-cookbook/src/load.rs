//! Reading a profile for the Python that it builds.
//!
//! Conditions of sections (`[x:python2]`, `[x:sys.version_info < (3,10)]`) speak of the Python that
//! runs Buildout. In SlapOS that is the one which the profile itself builds, named by
//! `[buildout] python`: Buildout starts again with it and reads the profile a second time. Here the
//! version is looked up in what was read first, and if it matters the profile is read again.

use slapos_profile::{Assignment, Location, Profile, ProfileError};

use crate::files::ProfileFiles;

/// Sections that name another one as theirs, at most; more is a circle.
const MOST_STEPS: usize = 8;

/// Reads the profile at `main` and everything it extends, with conditions as they are for the
/// Python that it builds.
///
/// # Errors
/// The first mistake found in any of the files.
pub fn load_profile(
    main: &Location,
    files: ProfileFiles<'_>,
    assignments: &[Assignment],
) -> Result<Profile, ProfileError> {
    let profile = Profile::load(main, &files, assignments)?;
    match own_python(&profile) {
        None => Ok(profile),
        Some(version) => Profile::load(main, &files.for_python(version), assignments),
    }
}

/// The version of the Python that a profile builds, if it builds one and says which.
pub fn own_python(profile: &Profile) -> Option<(u32, u32, u32)> {
    let mut name = profile.raw("buildout", "python")?.trim().to_owned();
    for _ in 0..MOST_STEPS {
        let section = profile.expand(&name).ok()?;
        if let Some(version) = section.get("version").and_then(version) {
            return Some(version);
        }
        // As `[python]` of slapos.git refers to the section that is compiled.
        name = section.get("part")?.trim().to_owned();
    }
    None
}

/// `3.13` or `3.13.12`.
fn version(text: &str) -> Option<(u32, u32, u32)> {
    let mut numbers = text.trim().split('.').map(str::parse);
    let major = numbers.next()?.ok()?;
    let minor = numbers.next()?.ok()?;
    Some((major, minor, numbers.next().and_then(Result::ok).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use slapos_sources::{Fetcher, FetcherConfig};

    use super::*;

    const PROFILE: &str = "\
[buildout]
python = python
[python]
part = python3
[python3]
<= python3.9
[python3.9]
version = 3.9
[x]
is =
[x:sys.version_info < (3,10)]
is = old
[x:python2]
is = ancient
";

    fn is(text: &str) -> String {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.cfg");
        slapos_sys::fs::write_atomic(&path, text.as_bytes(), 0o644).unwrap();
        let fetcher = Fetcher::new(FetcherConfig::new(directory.path().join("cache")));
        let main = Location::parse(&path.display().to_string()).unwrap();
        let profile = load_profile(&main, ProfileFiles::new(&fetcher), &[]).unwrap();
        profile.raw("x", "is").unwrap().to_owned()
    }

    #[test]
    fn conditions_speak_of_the_python_that_is_built() {
        assert_eq!(is(PROFILE), "old");
        assert_eq!(
            is(&PROFILE.replace("3.9\n", "2.7\n").replace("python3.9", "python2.7")),
            "ancient"
        );
        assert_eq!(is(&PROFILE.replace("python = python", "python = buildout")), "");
        assert_eq!(is(&PROFILE.replace("part = python3", "part = python")), "");
    }
}
