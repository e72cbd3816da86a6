//! What is remembered of each partition: the last bang, for which deployment it was, and what is to
//! be judged once a deployment has ended.
//!
//! Kept on a shelf in the instance root's `var`. Several processes note and tell:
//! a change is made under a lock that is held for no longer than that, and who tells the Master of a
//! partition holds another one, so that no bang is lost or sent twice.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use slapos_sys::fs;
use slapos_sys::lock::FileLock;

use crate::error::{IoContext, NodeError};
use crate::node::Node;
use crate::record::{Outcome, PartitionRecord};
use crate::reporter::Reporter;
use crate::shelf::{Kept, Shelf};

/// What is remembered of a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Notes {
    /// The last bang.
    #[serde(flatten)]
    last: Option<Mark>,
    /// What happened during a deployment; it is judged when that has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    waiting: Option<String>,
}

impl Kept for Notes {
    const NAME: &'static str = "note for the Master";
    const LONGEST: u64 = 64 << 10;
}

/// A bang.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// Which deployment was complained of: when it ended. `None` if there was none without error.
    deployment: Option<String>,
    /// What the Master is told.
    pub(super) message: String,
    /// The Master knows, or is not to know any more.
    told: bool,
}

/// Where a partition stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// What is in place was brought back, and stays while the Master wants what failed.
    Held,
    /// A deployment has begun and not ended.
    Deploying,
    /// This was the last deployment: when it ended; `None` if it failed, or there was none.
    Deployed(Option<String>),
}

impl Standing {
    /// By what is recorded of the partition.
    pub(super) fn of(record: Option<&PartitionRecord>, held: bool) -> Self {
        match record {
            Some(_) if held => Self::Held,
            Some(record) => match record.outcome {
                Outcome::Processing => Self::Deploying,
                Outcome::Done => Self::Deployed(Some(record.at.to_string())),
                Outcome::Failed(_) => Self::Deployed(None),
            },
            None => Self::Deployed(None),
        }
    }
}

impl Notes {
    /// Decides what is done about `message`. Returns why the Master is not to be told, if it is not.
    pub(super) fn hear(&mut self, standing: &Standing, message: String) -> Option<&'static str> {
        let deployment = match standing {
            Standing::Held => return Some("a former generation was restored and is to stay"),
            Standing::Deploying => {
                self.waiting.get_or_insert(message);
                return None;
            }
            Standing::Deployed(deployment) => deployment.clone(),
        };
        match &self.last {
            Some(_) if deployment.is_none() => {
                Some("it was not deployed without an error since the last one")
            }
            Some(last) if last.deployment == deployment => {
                Some("it was not deployed again since the last one")
            }
            _ => {
                self.last = Some(Mark { deployment, message, told: false });
                None
            }
        }
    }

    /// Decides about what waited, and about what could not be told in time. Returns what is dropped
    /// with the reason.
    pub(super) fn settle(&mut self, standing: &Standing) -> Option<(String, &'static str)> {
        if *standing == Standing::Held
            && let Some(last) = &mut self.last
        {
            last.told = true;
        }
        let message = self.waiting.take()?;
        self.hear(standing, message.clone()).map(|why| (message, why))
    }

    /// What the Master is to be told now.
    pub(super) fn untold(&self) -> Option<&Mark> {
        self.last.as_ref().filter(|mark| !mark.told)
    }

    /// Whether there is something to tell, now or later.
    pub(super) fn is_left(&self) -> bool {
        self.untold().is_some() || self.waiting.is_some()
    }
}

/// What a node remembers of its partitions.
pub(crate) struct Marks<'a> {
    directory: PathBuf,
    shelf: Shelf<'a, Notes>,
}

impl<'a> Marks<'a> {
    /// Those below `instance_root`; the directory is made when something is written.
    pub(crate) fn new(instance_root: &Path, reporter: &'a dyn Reporter) -> Self {
        let directory = instance_root.join("var/watchdog");
        Self { shelf: Shelf::new(directory.clone(), reporter), directory }
    }

    /// Those of `node`.
    pub(crate) fn of(node: &'a Node<'_>) -> Self {
        Self::new(&node.config.instance_root, node.reporter)
    }

    fn load(&self, partition: &str) -> Result<Notes, NodeError> {
        Ok(self.shelf.load(partition)?.unwrap_or_default())
    }

    /// Lets `change` change what is noted of `partition`. Nobody else does meanwhile.
    pub(super) fn update<T>(
        &self,
        partition: &str,
        change: impl FnOnce(&mut Notes) -> Result<T, NodeError>,
    ) -> Result<T, NodeError> {
        let lock = self.directory()?.join("lock");
        let _lock = FileLock::acquire(&lock).context("lock", &lock)?;
        let before = self.load(partition)?;
        let mut notes = before.clone();
        let result = change(&mut notes)?;
        if notes != before {
            self.shelf.store(partition, &notes)?;
        }
        Ok(result)
    }

    /// Notes that the Master was told of `mark`, unless another one has taken its place. Returns
    /// whether nothing is left to tell.
    pub(super) fn told(&self, partition: &str, mark: &Mark) -> Result<bool, NodeError> {
        self.update(partition, |notes| {
            if let Some(last) = notes.last.as_mut().filter(|last| *last == mark) {
                last.told = true;
            }
            Ok(!notes.is_left())
        })
    }

    /// The right to tell the Master of `partition`, unless somebody has it.
    pub(super) fn turn(&self, partition: &str) -> Result<Option<FileLock>, NodeError> {
        self.directory()?;
        let path = self.directory.join(format!("{partition}.telling"));
        FileLock::try_acquire(&path).context("lock", &path)
    }

    /// The partitions about which there is something to tell, now or later. One whose notes cannot be
    /// read is among them: who tells of it meets the error.
    ///
    /// # Errors
    /// When it cannot be seen which there are.
    pub(super) fn left(&self) -> Result<Vec<String>, NodeError> {
        let mut left = self.shelf.partitions()?;
        left.retain(|partition| self.load(partition).map_or(true, |notes| notes.is_left()));
        Ok(left)
    }

    /// Forgets `partition`.
    ///
    /// # Errors
    /// When the file exists and cannot be removed.
    pub(crate) fn forget(&self, partition: &str) -> Result<(), NodeError> {
        self.shelf.forget(partition)
    }

    fn directory(&self) -> Result<&Path, NodeError> {
        fs::create_dir_all(&self.directory, 0o700).context("create", &self.directory)?;
        Ok(&self.directory)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]

    use super::*;
    use crate::reporter::Deaf;

    const ONE: &str = "2026-01-01T00:00:00Z";
    const TWO: &str = "2026-01-02T00:00:00Z";

    fn done(at: &str) -> Standing {
        Standing::Deployed(Some(at.to_owned()))
    }

    fn mark(deployment: Option<&str>, message: &str) -> Mark {
        let deployment = deployment.map(str::to_owned);
        Mark { deployment, message: message.to_owned(), told: false }
    }

    fn told(deployment: Option<&str>) -> Notes {
        Notes { last: Some(Mark { told: true, ..mark(deployment, "m") }), waiting: None }
    }

    /// What is to be told after something is heard.
    fn heard(mut notes: Notes, standing: &Standing) -> Option<Mark> {
        notes.hear(standing, "m".to_owned());
        notes.untold().cloned()
    }

    #[test]
    fn one_bang_for_one_deployment() {
        assert_eq!(heard(Notes::default(), &done(ONE)), Some(mark(Some(ONE), "m")));
        assert_eq!(heard(told(Some(ONE)), &done(ONE)), None);
        assert_eq!(heard(told(Some(ONE)), &done(TWO)), Some(mark(Some(TWO), "m")));
        // The clock may be set back.
        assert_eq!(heard(told(Some(TWO)), &done(ONE)), Some(mark(Some(ONE), "m")));
    }

    #[test]
    fn what_never_succeeds_bangs_once() {
        let failed = Standing::Deployed(None);
        assert_eq!(heard(Notes::default(), &failed), Some(mark(None, "m")));
        assert_eq!(heard(told(None), &failed), None);
        assert_eq!(heard(told(None), &done(TWO)), Some(mark(Some(TWO), "m")));
    }

    #[test]
    fn what_happens_during_a_deployment_is_judged_when_that_has_ended() {
        for (end, banged) in [(done(TWO), true), (done(ONE), false), (Standing::Held, false)] {
            let mut notes = told(Some(ONE));
            assert_eq!(notes.hear(&Standing::Deploying, "given up".to_owned()), None);
            assert_eq!(notes.settle(&Standing::Deploying), None);
            assert!(notes.untold().is_none() && notes.is_left());
            assert_eq!(notes.settle(&end).is_none(), banged);
            assert_eq!(notes.untold(), banged.then(|| mark(Some(TWO), "given up")).as_ref());
            assert_eq!(notes.is_left(), banged);
        }
    }

    #[test]
    fn a_held_generation_is_not_banged_for() {
        assert_eq!(heard(Notes::default(), &Standing::Held), None);
        let mut late = Notes { last: Some(mark(Some(ONE), "m")), waiting: None };
        assert_eq!(late.settle(&Standing::Held), None);
        assert!(!late.is_left());
    }

    fn marks() -> (tempfile::TempDir, Marks<'static>) {
        let dir = tempfile::tempdir().unwrap();
        let marks = Marks::new(dir.path(), &Deaf);
        (dir, marks)
    }

    fn hear(marks: &Marks<'_>, partition: &str, at: &str) {
        let hear = |notes: &mut Notes| Ok(notes.hear(&done(at), at.to_owned()));
        marks.update(partition, hear).unwrap();
    }

    #[test]
    fn a_mark_noted_while_another_is_told_is_not_lost() {
        let (_dir, marks) = marks();
        hear(&marks, "p", ONE);
        hear(&marks, "q", ONE);
        let sent = marks.load("p").unwrap().untold().cloned().unwrap();
        hear(&marks, "p", TWO);
        assert!(!marks.told("p", &sent).unwrap());
        let newer = marks.load("p").unwrap().untold().cloned().unwrap();
        assert_eq!(newer, mark(Some(TWO), TWO));
        assert!(marks.told("p", &newer).unwrap());
        assert_eq!(marks.left().unwrap(), ["q"]);
        marks.forget("q").unwrap();
        assert_eq!(marks.left().unwrap(), [""; 0]);
    }

    #[test]
    fn one_at_a_time_tells() {
        let (_dir, marks) = marks();
        let turn = marks.turn("p").unwrap();
        assert!(turn.is_some() && marks.turn("p").unwrap().is_none());
        assert!(marks.turn("q").unwrap().is_some());
    }

    #[test]
    fn what_cannot_be_read_is_not_taken_for_nothing_to_tell() {
        let (dir, marks) = marks();
        hear(&marks, "p", ONE);
        std::fs::create_dir(dir.path().join("var/watchdog/q.json")).unwrap();
        assert_eq!(marks.left().unwrap(), ["p", "q"]);
        fs::remove_tree(&dir.path().join("var/watchdog")).unwrap();
        assert_eq!(marks.left().unwrap(), [""; 0]);
        std::fs::write(dir.path().join("var/watchdog"), "no directory").unwrap();
        marks.left().unwrap_err();
    }

    #[test]
    fn what_earlier_versions_noted_is_understood() {
        let (_dir, marks) = marks();
        let path = marks.directory().unwrap().join("p.json");
        let text = format!(r#"{{"deployment":"{ONE}","message":"m","told":true}}"#);
        std::fs::write(&path, text).unwrap();
        assert_eq!(marks.load("p").unwrap(), told(Some(ONE)));
    }
}
