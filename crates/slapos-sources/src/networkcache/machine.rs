//! Which machines can run each other's binaries: the compiler's name for the architecture, and the
//! system with its version, as the original compares them.

use std::fmt;
use std::path::Path;

use serde_json::Value as Json;
use slapos_sys::fs;
use slapos_sys::process::Command;

/// What a machine is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    architecture: String,
    system: [String; 3],
}

impl Machine {
    /// One of that architecture with that system: its name, version and code name.
    pub fn new(architecture: &str, system: &[&str]) -> Option<Self> {
        let [name, version, code] = system else { return None };
        let mut name = name.to_lowercase();
        if name == "raspbian" {
            name = "debian".to_owned();
        }
        // All releases of one version are alike, and the code name was not always told.
        let (version, code) = match name.as_str() {
            "debian" => (version.split('.').next().unwrap_or(version), ""),
            _ => (*version, *code),
        };
        let system = [name, version.to_owned(), code.to_owned()];
        Some(Self { architecture: architecture.to_owned(), system })
    }

    /// The one that an entry is for, if it says so. Old entries name the processor only, and the
    /// system as Python writes a tuple.
    pub fn of(information: &Json) -> Option<Self> {
        match information["multiarch"].as_str() {
            Some(architecture) => {
                let words = information["os"].as_array()?.iter().map(Json::as_str);
                Self::new(architecture, &words.collect::<Option<Vec<_>>>()?)
            }
            None => {
                let known = information["machine"].as_str() == Some("x86_64");
                let words = known.then(|| information["os"].as_str()).flatten()?;
                let words = words.strip_prefix('(')?.strip_suffix(')')?.split(',');
                let word = |word: &'_ str| word.trim().trim_matches(['\'', '"']).to_owned();
                let words: Vec<_> = words.map(word).collect();
                let words: Vec<_> = words.iter().map(String::as_str).collect();
                Self::new("x86_64-linux-gnu", &words)
            }
        }
    }

    /// As entries name it.
    pub fn entry(&self) -> Json {
        serde_json::json!({ "multiarch": self.architecture, "os": self.system })
    }

    /// This one.
    pub fn this() -> Self {
        let text = fs::read_to_string_lossy(Path::new("/etc/os-release"), 1 << 16);
        let system = system(&text.unwrap_or_default());
        let system = system.each_ref().map(String::as_str);
        let architecture = architecture();
        Self::new(&architecture, &system)
            .unwrap_or(Self { architecture, system: Default::default() })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [name, version, code] = &self.system;
        write!(f, "{}, {}", self.architecture, format!("{name} {version} {code}").trim())
    }
}

/// As the compiler says it, or would.
fn architecture() -> String {
    let mut gcc = Command::new("gcc");
    let said = gcc.arg("-dumpmachine").env("PATH", "/usr/local/bin:/usr/bin:/bin").output();
    let said = said.ok().filter(|output| output.status.success());
    let said = said.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let usual = || format!("{}-linux-gnu", std::env::consts::ARCH);
    said.filter(|name| !name.is_empty()).unwrap_or_else(usual)
}

/// Name, version and code name of the system that `/etc/os-release` describes.
fn system(text: &str) -> [String; 3] {
    ["ID", "VERSION_ID", "VERSION_CODENAME"].map(|key| {
        let mut values = text.lines().filter_map(|line| line.split_once('='));
        let value = values.find(|(name, _)| *name == key).map(|(_, value)| value);
        value.unwrap_or_default().trim().trim_matches(['"', '\'']).to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_of_one_version_of_debian_are_alike_and_others_are_not() {
        let machine = |system: [&str; 3]| Machine::new("x86_64-linux-gnu", &system).unwrap();
        let debian = machine(["debian", "12", "bookworm"]);
        assert_eq!(debian, machine(["Debian", "12.5", ""]));
        assert_eq!(debian, machine(["raspbian", "12", "x"]));
        assert_ne!(debian, machine(["debian", "11", "bookworm"]));
        assert_ne!(machine(["ubuntu", "22.04", "jammy"]), machine(["ubuntu", "22.10", "jammy"]));
        assert_eq!(Machine::new("x", &["debian"]), None);
        assert_eq!(Machine::of(&debian.entry()), Some(debian));
    }

    #[test]
    fn old_entries_are_read() {
        let old = serde_json::json!({"machine": "x86_64", "os": "('debian', '7.8', '')"});
        let machine = Machine::new("x86_64-linux-gnu", &["Debian", "7", "x"]);
        assert_eq!(Machine::of(&old), machine);
        let other = serde_json::json!({"machine": "i686", "os": "('debian', '7.8', '')"});
        assert_eq!(Machine::of(&other), None);
    }

    #[test]
    fn the_system_is_read_from_its_description() {
        let text = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\nID=debian\n";
        assert_eq!(system(text), ["debian", "12", "bookworm"]);
        assert_eq!(system(""), ["", "", ""]);
    }
}
