//! Debian's source archive, through the machine's own apt sources.
//!
//! apt downloads and authenticates the source indexes of one suite after another into a private
//! directory (no root needed, nothing of the machine's apt is changed); they are looked through by
//! digest or name; the file itself is downloaded from the mirror like any other.
//! Invariant: an index is replaced only by a complete, newer one.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use slapos_sys::clock::{Clock, Timestamp};
use slapos_sys::lock::FileLock;
use url::Url;

use super::Found;
use super::apt_sources::{self, Repository};
use super::client;
use super::debian_index::{Hit, IndexWriter, Wanted, search};
use crate::fetcher::FetcherConfig;
use crate::{Digest, Failure, Progress};

/// How Debian's source archive is reached.
#[derive(Clone, Debug)]
pub struct DebianSettings {
    /// Where apt's configuration is; `/etc/apt`.
    pub apt: PathBuf,
    /// Suites to look through after the machine's own, in order, from the same mirrors.
    pub further_suites: Vec<String>,
    /// How old an index may be before it is downloaded again.
    pub max_age: Duration,
}

impl Default for DebianSettings {
    fn default() -> Self {
        Self {
            apt: "/etc/apt".into(),
            further_suites: ["bookworm", "trixie", "forky", "sid"].map(str::to_owned).into(),
            max_age: Duration::from_secs(24 * 3600),
        }
    }
}

/// The archive as seen from this machine.
pub(crate) struct Debian {
    settings: DebianSettings,
    root: PathBuf,
    clock: Arc<dyn Clock>,
}

/// A suite and the stanzas that lead to it.
#[derive(Debug, PartialEq)]
struct Suite {
    name: String,
    stanzas: String,
}

impl Debian {
    pub(crate) fn new(config: &FetcherConfig) -> Self {
        Self {
            settings: config.debian.clone(),
            root: config.cache.join("debian"),
            clock: Arc::clone(&config.clock),
        }
    }

    /// Where files with `digest` are.
    pub(crate) fn by_digest(
        &self,
        digest: &Digest,
        progress: &dyn Progress,
    ) -> Result<Vec<Found>, Failure> {
        if matches!(digest, Digest::Sha512(_)) {
            let message = "Debian lists files by SHA-256 and MD5 only";
            return Err(Failure::Registry(message.into()));
        }
        let wanted = Wanted { digest: Some(digest), name: None };
        let (hits, looked) = self.look_up(&wanted, progress)?;
        match places(&hits) {
            empty if empty.is_empty() => {
                Err(Failure::Registry(format!("no file has it; {looked}")))
            }
            found => Ok(found),
        }
    }

    /// Where the file `[package, version, file]` is, or another with the same bytes.
    pub(crate) fn by_name(
        &self,
        name: [&str; 3],
        digest: Option<&Digest>,
        progress: &dyn Progress,
    ) -> Result<Vec<Found>, Failure> {
        let wanted = Wanted { digest, name: Some(name) };
        let (hits, looked) = self.look_up(&wanted, progress)?;
        let found = places(&hits);
        if !found.is_empty() {
            return Ok(found);
        }
        match (hits.first(), digest) {
            (Some(other), Some(expected)) => {
                let listed = match expected {
                    Digest::Md5(_) => &other.file.md5,
                    _ => &other.file.sha256,
                };
                let got = listed.parse().map_err(|_| {
                    Failure::Registry(format!("the index is damaged at {}", other.url))
                })?;
                Err(Failure::WrongDigest { expected: Box::new(*expected), got: Box::new(got) })
            }
            _ => Err(Failure::Registry(format!(
                "there is no such file; {looked}. Old versions leave the archive: look for a \
                 version that has the file"
            ))),
        }
    }

    /// Has apt itself download `url`, with its proxies and passwords.
    pub(crate) fn apt_download(
        &self,
        url: &Url,
        to: &Path,
        progress: &dyn Progress,
    ) -> Result<(), Failure> {
        let mut helper = client::command("/usr/lib/apt/apt-helper");
        helper.args(["-o", "APT::Sandbox::User=", "download-file"]).arg(url.as_str()).arg(to);
        client::output("apt-helper", &mut helper, progress).map(drop)
    }

    /// Everything that matches in the first suite that has a match by bytes, and a text that says
    /// where was looked.
    fn look_up(
        &self,
        wanted: &Wanted<'_>,
        progress: &dyn Progress,
    ) -> Result<(Vec<Hit>, String), Failure> {
        let suites = self.suites()?;
        let mut looked = Vec::new();
        let mut failed = Vec::new();
        let mut others = Vec::new();
        for suite in &suites {
            match self.search_suite(suite, wanted, progress) {
                Ok(hits) if hits.iter().any(|hit| hit.same_bytes) => {
                    return Ok((hits, String::new()));
                }
                Ok(hits) => {
                    others.extend(hits);
                    looked.push(suite.name.as_str());
                }
                Err(Failure::Cancelled) => return Err(Failure::Cancelled),
                Err(failure) => failed.push(format!("{}: {failure}", suite.name)),
            }
        }
        if looked.is_empty() {
            return Err(Failure::Registry(failed.join("; ")));
        }
        let mut text = format!("looked in {}", looked.join(", "));
        if !failed.is_empty() {
            text.push_str(&format!(" (not in {})", failed.join("; ")));
        }
        Ok((others, text))
    }

    fn search_suite(
        &self,
        suite: &Suite,
        wanted: &Wanted<'_>,
        progress: &dyn Progress,
    ) -> Result<Vec<Hit>, Failure> {
        let path = self.fresh_index(suite, progress)?;
        let index = File::open(&path).map_err(Failure::file("read", &path))?;
        search(index, wanted).map_err(|error| {
            let _ = fs::remove_file(&path);
            Failure::file("read", &path)(error)
        })
    }

    fn suites(&self) -> Result<Vec<Suite>, Failure> {
        let repositories = apt_sources::read(&self.settings.apt)
            .map_err(Failure::file("read", &self.settings.apt))?;
        if repositories.is_empty() {
            return Err(Failure::Registry(format!(
                "no mirror of Debian is among the apt sources below {}",
                self.settings.apt.display()
            )));
        }
        Ok(suites_of(&repositories, &self.settings.further_suites))
    }

    /// The index of the suite, downloaded if it is missing or old. An old one is better than none.
    fn fresh_index(&self, suite: &Suite, progress: &dyn Progress) -> Result<PathBuf, Failure> {
        slapos_sys::fs::create_dir_all(&self.root, 0o755)
            .map_err(Failure::file("create", &self.root))?;
        // Other mirrors or options make another index.
        let source = Digest::sha256_of(suite.stanzas.as_bytes()).hex();
        let name = format!("{}-{}", suite.name.replace('/', "_"), &source[..8]);
        let index = self.root.join(format!("{name}.index"));
        if self.is_fresh(&index) {
            return Ok(index);
        }
        let lock = self.root.join(format!("{name}.lock"));
        let _lock = FileLock::acquire(&lock).map_err(Failure::file("lock", &lock))?;
        if self.is_fresh(&index) {
            return Ok(index);
        }
        progress
            .text(&format!("downloading the list of Debian's source packages ({})", suite.name));
        match self.update(suite, &index, progress) {
            Err(failure) if index.exists() && !matches!(failure, Failure::Cancelled) => {
                tracing::warn!(suite = suite.name, %failure, "using an old list of source packages");
                Ok(index)
            }
            result => result.map(|()| index),
        }
    }

    fn is_fresh(&self, index: &Path) -> bool {
        let modified = fs::metadata(index).and_then(|meta| meta.modified());
        let Some(modified) = modified.ok().and_then(|m| Timestamp::try_from(m).ok()) else {
            return false;
        };
        // A clock that was set back makes an index seem to come from the future: still fresh.
        let age = self.clock.now().duration_since(modified);
        age.as_secs() <= i64::try_from(self.settings.max_age.as_secs()).unwrap_or(i64::MAX)
    }

    fn update(&self, suite: &Suite, index: &Path, progress: &dyn Progress) -> Result<(), Failure> {
        let dir = slapos_sys::fs::temp_dir_in(&self.root, ".update-")
            .map_err(Failure::file("create", &self.root))?;
        let config = prepare(dir.path(), suite).map_err(Failure::file("prepare", dir.path()))?;
        client::output("apt-get", apt(&config).arg("update"), progress)?;
        let listed = client::output(
            "apt-get",
            apt(&config).args([
                "indextargets",
                "--format",
                "$(FILENAME)\t$(REPO_URI)",
                "Created-By: Sources",
            ]),
            progress,
        )?;
        let new = dir.path().join("index");
        let entries = write_index(&new, &listed).map_err(Failure::file("write", &new))?;
        if entries == 0 {
            let message = "the mirror has no list of source packages";
            return Err(Failure::Registry(message.into()));
        }
        slapos_sys::fs::rename(&new, index).map_err(Failure::file("publish", index))
    }
}

/// The machine's suites first, then the further ones from its main archive.
fn suites_of(repositories: &[Repository], further: &[String]) -> Vec<Suite> {
    let mut suites: Vec<Suite> = Vec::new();
    let mut add = |name: &str, stanza: String| {
        match suites.iter_mut().find(|suite| suite.name == name) {
            Some(suite) if suite.stanzas.contains(&stanza) => {}
            Some(suite) => suite.stanzas.push_str(&stanza),
            None => suites.push(Suite { name: name.to_owned(), stanzas: stanza }),
        };
    };
    let mut own = BTreeSet::new();
    for repository in repositories {
        for suite in &repository.suites {
            own.insert(suite.as_str());
            add(suite, repository.stanza(suite));
        }
    }
    for suite in further.iter().filter(|suite| !own.contains(&***suite)) {
        for repository in repositories.iter().filter(|r| r.is_main_archive()) {
            add(suite, repository.stanza(suite));
        }
    }
    suites
}

/// Lays out a private apt below `dir` and returns its configuration file.
///
/// `#clear` takes away hooks of the machine that would touch its own files; it works only in a
/// file that is read after the machine's, which `apt-get -c` does.
fn prepare(dir: &Path, suite: &Suite) -> io::Result<PathBuf> {
    for part in ["parts", "lists/partial", "cache/partial"] {
        slapos_sys::fs::create_dir_all(&dir.join(part), 0o755)?;
    }
    let sources = dir.join("parts/slapos.sources");
    slapos_sys::fs::write_replace(&sources, suite.stanzas.as_bytes(), 0o600)?;
    let shown = dir.display();
    let text = format!(
        "#clear APT::Update::Pre-Invoke;\n\
         #clear APT::Update::Post-Invoke;\n\
         #clear APT::Update::Post-Invoke-Success;\n\
         Dir::Etc::sourcelist \"/dev/null\";\n\
         Dir::Etc::sourceparts \"{shown}/parts\";\n\
         Dir::State \"{shown}\";\n\
         Dir::State::lists \"{shown}/lists\";\n\
         Dir::State::status \"/dev/null\";\n\
         Dir::Cache \"{shown}/cache\";\n\
         Dir::Cache::archives \"{shown}/cache\";\n\
         APT::Sandbox::User \"\";\n\
         Acquire::GzipIndexes \"false\";\n\
         Acquire::Languages \"none\";\n\
         Acquire::IndexTargets::deb-src::DEP-11::DefaultEnabled \"false\";\n\
         APT::Update::Error-Mode \"any\";\n"
    );
    let config = dir.join("apt.conf");
    slapos_sys::fs::write_replace(&config, text.as_bytes(), 0o600)?;
    Ok(config)
}

fn apt(config: &Path) -> slapos_sys::process::Command {
    let mut apt = client::command("apt-get");
    apt.env("LC_ALL", "C").arg("-c").arg(config);
    apt
}

/// Writes the index of the `Sources` files that apt lists; returns how many there were.
fn write_index(to: &Path, listed: &str) -> io::Result<usize> {
    let mut writer = IndexWriter::new(slapos_sys::fs::create_new(to, 0o644)?)?;
    let mut count = 0;
    for (path, base) in listed.lines().filter_map(|line| line.split_once('\t')) {
        match File::open(path) {
            Ok(file) => writer.add(base, BufReader::with_capacity(1 << 17, file))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        }
        count += 1;
    }
    writer.finish()?.sync_all()?;
    Ok(count)
}

/// The distinct addresses of the hits that have the right bytes.
fn places(hits: &[Hit]) -> Vec<Found> {
    let mut found = Vec::new();
    for hit in hits.iter().filter(|hit| hit.same_bytes) {
        let path = hit.url.strip_prefix("file:").or_else(|| hit.url.strip_prefix("copy:"));
        let place = match (path, Url::parse(&hit.url)) {
            (Some(path), _) => {
                Found::File(PathBuf::from(format!("/{}", path.trim_start_matches('/'))))
            }
            (None, Ok(url)) => Found::Apt(url),
            (None, Err(_)) => continue,
        };
        if !found.contains(&place) {
            found.push(place);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(uri: &str, suites: &[&str]) -> Repository {
        Repository {
            uris: vec![uri.into()],
            suites: suites.iter().map(|suite| (*suite).to_owned()).collect(),
            components: vec!["main".into()],
            options: vec![],
        }
    }

    #[test]
    fn the_machines_suites_come_first_then_further_ones_from_the_main_archive() {
        let repositories = [
            repository("http://m/debian", &["bookworm", "bookworm-updates"]),
            repository("http://m/security", &["bookworm-security"]),
        ];
        let suites = suites_of(&repositories, &["bookworm".into(), "trixie".into()]);
        let names: Vec<&str> = suites.iter().map(|suite| suite.name.as_str()).collect();
        assert_eq!(names, ["bookworm", "bookworm-updates", "bookworm-security", "trixie"]);
        assert!(suites[3].stanzas.contains("http://m/debian"));
        assert!(!suites[3].stanzas.contains("security"));
    }

    #[test]
    fn a_machine_without_mirrors_is_told_so() {
        let empty = tempfile::tempdir().unwrap();
        let mut config = FetcherConfig::new(empty.path().join("cache"));
        config.debian.apt = empty.path().to_owned();
        let failure =
            Debian::new(&config).by_digest(&Digest::Md5([0; 16]), &crate::Silent).unwrap_err();
        assert!(failure.to_string().starts_with("no mirror of Debian"));
    }
}
