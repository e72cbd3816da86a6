//! Journals that wait to be handed in, and the record of what is being taken away for one.
//!
//! One that the Master refuses for what is in it gives way to one for each who used something; one of
//! those that it refuses, too, is put beside.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use slapos_slap::usage::{Movement, Transaction, read_journal};
use slapos_slap::{PartitionId, SlapClient, SlapError};
use slapos_sys::{fs, random};

use super::{directory, gather};
use crate::error::{IoContext, NodeError};
use crate::node::Node;
use crate::worker::ReportFile;

/// A longer journal is not handed in, bytes.
const LONGEST: u64 = 64 << 20;
/// What the name of a journal of several partitions begins with.
const OURS: &str = "usage.";
/// What the name of one ends in that the Master refused, and that is not handed in again.
const REFUSED: &str = ".refused";
/// More of them are not kept.
const MOST_REFUSED: usize = 100;

/// What a run is about to do.
#[derive(Serialize, Deserialize)]
struct Intent {
    /// The journal's file name.
    name: String,
    /// The journal.
    document: String,
    /// The reports that are in it.
    taken: Vec<(PartitionId, ReportFile)>,
}

/// Has `document` wait to be handed in, and takes away what is in it.
pub(super) fn put(
    node: &Node<'_>,
    document: &str,
    taken: Vec<(PartitionId, ReportFile)>,
) -> Result<(), NodeError> {
    let path = intent_path(node);
    let name = random::hex(8).context("name a journal for", &path)?;
    let name = format!("usage.{name}.xml");
    let intent = Intent { name, document: document.to_owned(), taken };
    let text = serde_json::to_string(&intent)
        .map_err(|error| NodeError::user(format!("cannot word the journal: {error}")))?;
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent, 0o700).context("create", parent)?;
    }
    fs::write_atomic(&path, text.as_bytes(), 0o600).context("write", &path)?;
    carry_out(node, intent)
}

/// Ends what a killed run began.
pub(super) fn take_up(node: &Node<'_>) -> Result<(), NodeError> {
    let path = intent_path(node);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).context("read", &path),
    };
    match serde_json::from_str(&text) {
        Ok(intent) => carry_out(node, intent),
        Err(error) => Err(NodeError::user(format!("{} makes no sense: {error}", path.display()))
            .hint("it was not written by this program; move it away")),
    }
}

/// Each step can be repeated.
fn carry_out(node: &Node<'_>, intent: Intent) -> Result<(), NodeError> {
    let directory = directory(node, node.config.computer_id.as_str());
    fs::create_dir_all(&directory, 0o700).context("create", &directory)?;
    let path = directory.join(&intent.name);
    let written = fs::write_atomic_if_changed(&path, intent.document.as_bytes(), 0o600);
    written.context("write", &path)?;
    let mut taken = intent.taken;
    while let Some((partition, _)) = taken.first().cloned() {
        let (its, rest) = taken.into_iter().partition(|(owner, _)| *owner == partition);
        taken = rest;
        let files = Vec::into_iter(its).map(|(_, file)| file).collect();
        // A partition that keeps its reports counts twice, which is its own doing.
        if let Err(error) = gather::take_away(node, &partition, files) {
            let text = format!("its usage reports stay: {error}");
            node.reporter.warn(partition.as_str(), &text);
        }
    }
    let done = intent_path(node);
    fs::remove_tree(&done).context("remove", &done)
}

/// Hands in what waits, and removes what was handed in; notes in `failed` what was not.
pub(super) fn hand_in(node: &Node<'_>, master: &SlapClient, failed: &mut Vec<String>) {
    let directory = directory(node, node.config.computer_id.as_str());
    let mut paths = match waiting(&directory) {
        Ok(paths) => paths,
        Err(error) => {
            node.reporter.failed("usage", &error);
            failed.push(directory.display().to_string());
            return;
        }
    };
    // The next one last.
    paths.reverse();
    while let Some(path) = paths.pop() {
        match one(node, master, &path) {
            Ok(instead) => paths.extend(instead),
            Err(error) => {
                node.reporter.failed("usage", &error);
                failed.push(path.display().to_string());
            }
        }
    }
}

/// What waits in `directory`, by name.
fn waiting(directory: &Path) -> Result<Vec<PathBuf>, NodeError> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.context("list", directory)?,
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = paths.collect::<Result<Vec<_>, _>>().context("list", directory)?;
    paths.retain(|path| !is_refused(path));
    paths.sort();
    Ok(paths)
}

fn is_refused(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(REFUSED.as_bytes())
}

/// Returns the journals that wait instead of that one, if the Master did not take it as it is.
fn one(node: &Node<'_>, master: &SlapClient, path: &Path) -> Result<Vec<PathBuf>, NodeError> {
    let leave = |why: &dyn std::fmt::Display| {
        node.reporter.warn("usage", &format!("{} is left where it is: {why}", path.display()));
    };
    let text = match fs::read_untrusted(path, LONGEST) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::FileTooLarge => {
            leave(&error);
            return Ok(Vec::new());
        }
        Err(error) => return Err(error).context("read", path),
    };
    let journal = match read_journal(&text) {
        Ok(journal) => journal,
        Err(error) => {
            leave(&error);
            return Ok(Vec::new());
        }
    };
    match master.use_computer(&node.config.computer_id, &text) {
        Ok(()) => {
            fs::remove_tree(path).context("remove", path)?;
            node.reporter.note("usage", "reported");
            Ok(Vec::new())
        }
        Err(error) if is_for_good(&error) => {
            let is_ours = path.file_name().and_then(|name| name.to_str());
            let is_ours = is_ours.is_some_and(|name| name.starts_with(OURS));
            match by_user(&journal).filter(|_| is_ours) {
                Some(parts) => divide(path, &parts),
                None => put_aside(node, path, &error).map(|()| Vec::new()),
            }
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether the Master refuses what is in a journal, and will again.
fn is_for_good(error: &SlapError) -> bool {
    matches!(error, SlapError::Server { status: 400 | 413 | 422, .. })
}

/// What a journal that the node made says of each who used something, as journals; none if that is one.
fn by_user(journal: &[Transaction]) -> Option<Vec<String>> {
    let [all] = journal else { return None };
    let mut users: BTreeMap<Option<&str>, Vec<Movement>> = BTreeMap::new();
    for movement in &all.movements {
        users.entry(movement.reference.as_deref()).or_default().push(movement.clone());
    }
    let words = |movements| {
        let head = [&all.title, &all.start_date, &all.stop_date, &all.reference, &all.arrow];
        let [title, start_date, stop_date, reference, arrow] = head.map(String::clone);
        Transaction { title, start_date, stop_date, reference, arrow, movements }.to_journal()
    };
    (users.len() > 1).then(|| users.into_values().map(words).collect())
}

/// Has `parts` wait instead of the journal at `path`. Their names come after its own: killed before that
/// one goes, the next run meets it first and does the same.
fn divide(path: &Path, parts: &[String]) -> Result<Vec<PathBuf>, NodeError> {
    let mut paths = Vec::new();
    for (number, part) in parts.iter().enumerate() {
        let path = beside(path, &format!(".{number}"));
        fs::write_atomic_if_changed(&path, part.as_bytes(), 0o600).context("write", &path)?;
        paths.push(path);
    }
    fs::remove_tree(path).context("remove", path)?;
    Ok(paths)
}

/// What the Master does not take is a person's to look at, and in nobody's way.
fn put_aside(node: &Node<'_>, path: &Path, why: &SlapError) -> Result<(), NodeError> {
    let directory = path.parent().unwrap_or(path);
    let entries = std::fs::read_dir(directory).context("list", directory)?;
    let kept = entries.flatten().filter(|entry| is_refused(&entry.path())).count();
    let what = if kept < MOST_REFUSED {
        let aside = beside(path, REFUSED);
        fs::rename(path, &aside).context("put aside", path)?;
        format!("is now {}", aside.display())
    } else {
        fs::remove_tree(path).context("remove", path)?;
        format!("is dropped, because {MOST_REFUSED} others like it are kept")
    };
    let text = format!("{} is not handed in again, and {what}: {why}", path.display());
    node.reporter.warn("usage", &text);
    Ok(())
}

/// The path of that name and `ending`.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

fn intent_path(node: &Node<'_>) -> PathBuf {
    node.config.instance_root.join("var/slapgrid/usage.json")
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::sync::mpsc;

    use slapos_slap::usage::{journal, read_consumption};
    use slapos_sys::clock::SystemClock;

    use super::*;
    use crate::NodeConfig;
    use crate::reporter::Deaf;

    /// What was posted.
    fn posted(stream: &mut TcpStream) -> String {
        let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
        loop {
            let read = stream.read(&mut piece).unwrap();
            bytes.extend_from_slice(&piece[..read]);
            let text = String::from_utf8(bytes.clone()).unwrap();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|line| {
                line.to_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok()
            });
            if body.len() >= length.unwrap() {
                return body.to_owned();
            }
        }
    }

    #[test]
    fn what_the_master_refuses_of_one_keeps_no_other_from_being_heard() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (heard, hears) = mpsc::channel();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let body = posted(&mut stream);
                let status = if body.contains("slappart1") { 400 } else { 200 };
                let _ = heard.send((status, body.contains("slappart0")));
                let head = format!("HTTP/1.1 {status} x\r\nConnection: close\r\n");
                let _ = write!(stream, "{head}Content-Length: 0\r\n\r\n");
            }
        });
        let dir = tempfile::tempdir().unwrap();
        let text = format!(
            "[slapos]\nsoftware_root = /s\ninstance_root = {}\ncomputer_id = c\n\
             master_url = http://127.0.0.1:{port}\n",
            dir.path().display()
        );
        let parsed = slapos_config::Config::parse(&text, "s").unwrap();
        let config = NodeConfig::from_config(&parsed, Path::new("s")).unwrap();
        let node = Node { config: &config, reporter: &Deaf, clock: &SystemClock };
        let master = node.master().unwrap();
        let consumption = read_consumption(
            "<consumption><movement><resource>r</resource><reference>x</reference>\
             <quantity>1</quantity><price>0</price><VAT/></movement></consumption>",
        );
        let consumption = consumption.unwrap();
        let both = ["slappart0", "slappart1"].map(|name| (name.into(), consumption.clone()));
        put(&node, &journal(&"c".into(), "now", &both), Vec::new()).unwrap();
        let mut failed = Vec::new();
        hand_in(&node, &master, &mut failed);
        assert_eq!(failed, [""; 0]);
        let mut told: Vec<_> = hears.try_iter().collect();
        told.sort_unstable();
        assert_eq!(told, [(200, true), (400, false), (400, true)]);
        let directory = directory(&node, "c");
        let left: Vec<_> = std::fs::read_dir(&directory).unwrap().map(Result::unwrap).collect();
        assert!(left.len() == 1 && is_refused(&left[0].path()), "{left:?}");
        hand_in(&node, &master, &mut failed);
        assert!(failed.is_empty() && hears.try_recv().is_err(), "it is not tried again");
    }

    #[test]
    fn only_a_directory_that_is_not_there_has_nothing_that_waits() {
        let dir = tempfile::tempdir().unwrap();
        assert!(waiting(&dir.path().join("missing")).unwrap().is_empty());
        let file = dir.path().join("usage.1.xml");
        fs::write_atomic(&file, b"", 0o600).unwrap();
        assert_eq!(waiting(dir.path()).unwrap(), std::slice::from_ref(&file));
        waiting(&file).unwrap_err();
    }
}
