//! Instances of which a former generation is in place, and stays: what a killed run began, and what the
//! Master has not heard.

use slapos_slap::ComputerPartition;

use super::process::Session;
use crate::action::Action;
use crate::error::NodeError;
use crate::generation::{self, Home};
use crate::promises;
use crate::record::{Outcome, PartitionRecord};

impl Session<'_, '_> {
    /// Goes on with what a killed run began.
    pub(super) fn restore(
        &self,
        partition: &ComputerPartition,
        number: u32,
    ) -> Result<(), NodeError> {
        let id = partition.id.as_str();
        self.node.reporter.note(id, &Action::Restore(number).to_string());
        let home = Home::of(self.node.config, &partition.id)?;
        let place = home.place(&partition.id, partition.requested_state);
        let mut history = self.node.histories().load(id)?;
        let held = history.held.clone();
        let restored = generation::restore(self.node, place, &mut history, number, held)?;
        self.heard.note(partition, &restored.said);
        if let Some(mut record) = self.node.records().load(id)? {
            restored.remember(&mut record, self.node.clock.now());
            record.untold = !restored.answered;
            self.store(partition, &record)?;
            if let Outcome::Failed(text) = &record.outcome {
                self.node.tell_error(self.master, partition, &NodeError::user(text));
            }
        }
        restored.said.judge()
    }

    /// Tells a Master that did not hear which generation was brought back, what is published and asked for
    /// since, and how the instance is. Returns whether it hears it now.
    ///
    /// # Errors
    /// When it hears the former, but not how the instance is: all of it is to be told once more.
    pub(super) fn remind(&self, partition: &ComputerPartition) -> Result<bool, NodeError> {
        let id = partition.id.as_str();
        let Some(mut record) = self.node.records().load(id)? else {
            return Ok(false);
        };
        let home = Home::of(self.node.config, &partition.id)?;
        let place = home.place(&partition.id, partition.requested_state);
        if !generation::tell_again(self.node, place, &self.node.histories().load(id)?) {
            return Ok(false);
        }
        let (state, trouble) = (partition.requested_state, trouble(&record).err());
        generation::report_of(self.master, partition, state, trouble.as_ref())?;
        record.untold = false;
        self.store(partition, &record)?;
        Ok(true)
    }
}

/// What is wrong with an instance, as it was left.
fn trouble(record: &PartitionRecord) -> Result<(), NodeError> {
    match &record.outcome {
        Outcome::Failed(text) => Err(NodeError::user(text)),
        Outcome::Processing | Outcome::Done => promises::judge(record.promises.values()),
    }
}

/// `error` of the promises of what is in place, and that it was brought back, if it was: who reads the one
/// has to know the other.
pub(super) fn with_what_was_taken_back(record: &PartitionRecord, error: &NodeError) -> NodeError {
    let error = NodeError::user(error.to_string());
    let text = match &record.outcome {
        Outcome::Failed(text) => generation::taken_back_by(text),
        Outcome::Processing | Outcome::Done => None,
    };
    match text {
        Some(text) => error.and(text),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use slapos_slap::InstanceState;
    use slapos_sys::clock::{Clock as _, SystemClock};

    use super::*;
    use crate::NodeConfig;
    use crate::instance::heard::Heard;
    use crate::node::Node;
    use crate::reporter::Deaf;

    /// A Master that hears nothing of instances until it is told to; its address.
    fn hard_of_hearing(hears: Arc<AtomicBool>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let _ = stream.read(&mut [0; 65536]);
                let status = if hears.load(Ordering::SeqCst) { 200 } else { 400 };
                let head = format!("HTTP/1.1 {status} x\r\nConnection: close\r\n");
                let _ = write!(stream, "{head}Content-Length: 0\r\n\r\n");
                let _ = stream.shutdown(std::net::Shutdown::Write);
                // What is closed with something unread is reset.
                let _ = stream.read_to_end(&mut Vec::new());
            }
        });
        url
    }

    fn untold() -> PartitionRecord {
        PartitionRecord {
            title: "word".to_owned(),
            software: "/s.cfg".into(),
            software_stamp: String::new(),
            timestamp: None,
            wish: String::new(),
            state: InstanceState::Started,
            at: SystemClock.now(),
            outcome: Outcome::Failed("it broke".to_owned()),
            restart: None,
            asks_nothing: false,
            limits: None,
            untold: true,
            marked: false,
            promises: BTreeMap::new(),
            schedule: None,
        }
    }

    #[test]
    fn what_the_master_does_not_hear_is_told_again() {
        let dir = tempfile::tempdir().unwrap();
        let directory = dir.path().join("slappart0");
        std::fs::create_dir(&directory).unwrap();
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o750)).unwrap();
        let hears = Arc::new(AtomicBool::new(false));
        let text = format!(
            "[slapos]\nsoftware_root = /s\ninstance_root = {}\nmaster_url = {}\ncomputer_id = c\n",
            dir.path().display(),
            hard_of_hearing(Arc::clone(&hears)),
        );
        let config = slapos_config::Config::parse(&text, "s").unwrap();
        let config = NodeConfig::from_config(&config, Path::new("s")).unwrap();
        let node = Node { config: &config, reporter: &Deaf, clock: &SystemClock };
        let master = &node.master().unwrap();
        let (heard, touched) = (Heard::default(), AtomicBool::new(false));
        let session = Session { node: &node, master, force_stop: false, heard, touched };
        node.records().store("slappart0", &untold()).unwrap();
        let partition = ComputerPartition::free("c".into(), "slappart0".into());
        let is_untold = || node.records().load("slappart0").unwrap().unwrap().untold;
        assert!(session.remind(&partition).is_err() && is_untold());
        hears.store(true, Ordering::SeqCst);
        assert!(session.remind(&partition).unwrap() && !is_untold());
    }
}
