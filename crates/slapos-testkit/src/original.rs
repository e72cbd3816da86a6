//! The Python original: `slapos.core` with zc.buildout and the recipes, as published.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Person, python_between};

/// What it needs, all of it: nothing is resolved anew when something is published.
const PACKAGES: [&str; 51] = [
    "attrs==25.4.0",
    "autopage==0.5.2",
    "blinker==1.6.3",
    "certifi==2025.11.12",
    "charset-normalizer==3.4.4",
    "click==8.1.3",
    "cliff==4.11.0",
    "cmd2==2.7.0",
    "distro==1.7.0",
    "dnspython==2.7.0",
    "Flask==3.0.0",
    "idna==3.11",
    "inotify-simple==1.1.1",
    "itsdangerous==2.1.2",
    "Jinja2==3.1.6",
    "jsonschema==4.17.3",
    "libpass==1.9.4",
    "lock-file==2.0",
    "lxml==6.1.3",
    "markdown-it-py==4.0.0",
    "MarkupSafe==2.1.3",
    "mdurl==0.1.2",
    "netaddr==1.3.0",
    "netifaces==0.11.0",
    "packaging==26.4",
    "plone.recipe.command==1.1",
    "prettytable==3.16.0",
    "psutil==7.1.3",
    "Pygments==2.19.2",
    "pyperclip==1.11.0",
    "pyrsistent==0.20.0",
    "pytz==2025.2",
    "PyYAML==6.0.3",
    "requests==2.32.5",
    "rich==14.2.0",
    "rich-argparse==1.7.1",
    "six==1.17.0",
    "slapos.cookbook==1.0.514",
    "slapos.core==1.26.1",
    "slapos.libnetworkcache==0.30",
    "slapos.recipe.template==5.1",
    "stevedore==5.5.0",
    "supervisor==4.3.0",
    "uritemplate==4.1.1",
    "urllib3==2.6.3",
    "wcwidth==0.2.14",
    "Werkzeug==3.1.3",
    "xml-marshaller==1.0.2",
    "zc.buildout==3.0.1",
    "zc.recipe.egg==2.0.7",
    "zope.interface==7.2",
];

/// Values of options that are no text, which the published zc.buildout refuses and the recipes of
/// the original need.
const VALUES: &str = include_str!("values.py");
/// The first line of [`VALUES`].
const MARK: &str = "# Values of options that are no text.";

/// An installation of the original and the person who runs it.
#[derive(Clone, Debug)]
pub struct Original {
    bin: PathBuf,
    /// Who runs it: it refuses root.
    pub person: Person,
}

impl Original {
    /// The original below `place`, installed there unless it is.
    ///
    /// # Errors
    /// Why there is none: no Python from 3.12 on, no package index, no ordinary user.
    ///
    /// # Panics
    /// When `place` cannot be written.
    pub fn at(place: &Path) -> Result<Self, String> {
        let bin = python_between(12..=13, place, &PACKAGES)?;
        teach_values(&bin)?;
        let person = Person::ordinary(&bin.join("python"))?;
        Ok(Self { bin, person })
    }

    /// A program of the installation, such as `slapos`, run by [`Original::person`].
    pub fn command(&self, program: &str) -> Command {
        let mut command = self.person.command(&self.bin.join(program));
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", self.bin.display()));
        command
    }

    /// The directory of its modules.
    ///
    /// # Panics
    /// When it has none.
    pub fn site(&self) -> PathBuf {
        let lib = self.bin.parent().unwrap_or(Path::new("/")).join("lib");
        let entries = std::fs::read_dir(lib).into_iter().flatten().flatten();
        let mut sites = entries.map(|entry| entry.path().join("site-packages"));
        sites.find(|site| site.exists()).expect("a virtual environment has site-packages")
    }
}

/// Adds [`VALUES`] to zc.buildout, once.
fn teach_values(bin: &Path) -> Result<(), String> {
    let ask = "import zc.buildout.buildout as b; print(b.__file__)";
    let output = Command::new(bin.join("python")).args(["-c", ask]).output();
    let output = output.map_err(|error| format!("cannot run its python: {error}"))?;
    let path = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    let text =
        std::fs::read_to_string(&path).map_err(|error| format!("no zc.buildout: {error}"))?;
    let own = text.split(MARK).next().unwrap_or_default().trim_end();
    let wanted = format!("{own}\n\n\n{VALUES}");
    match wanted == text {
        true => Ok(()),
        false => std::fs::write(&path, wanted).map_err(|error| error.to_string()),
    }
}
