//! What the Master is told while a Software Release is built: how far it is, and what was said last.
//!
//! Invariants: a build never waits for the Master (but a second at its end, for the last word to be
//! told), and never fails because of it (the newest word waits, older ones are forgotten); who cannot be told is not asked again during the build; what is
//! told comes from the events of the build, never from files where the builder can write.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use slapos_engine::Event;
use slapos_slap::{BuildProgress, ComputerId, SlapClient, SoftwareUrl};

use crate::node::{Node, master_within};
use crate::told::without_passwords;
use crate::worker;

/// Between two words to the Master.
const EVERY: Duration = Duration::from_secs(2);

/// How long the Master may take for each.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the end of a build is held up for the last word. Who tells it goes on alone after that.
const LAST_WORD: Duration = Duration::from_secs(1);

/// So many of the parts that are being made at a time are named.
const NAMED: usize = 4;

/// How much of the log is told, in bytes: its end.
const LONGEST: usize = 32 << 10;

/// The progress of one build.
pub(crate) struct Progress {
    state: BuildProgress,
    making: Making,
    log: String,
    slot: Arc<Slot>,
}

/// The parts that are being made, in the order in which they were begun, and the one that failed last.
#[derive(Default)]
struct Making {
    parts: Vec<String>,
    failed: String,
}

/// Where the newest word waits for its teller.
#[derive(Default)]
struct Slot {
    inner: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    newest: Option<BuildProgress>,
    /// The build has.
    ended: bool,
    /// Nobody tells any more.
    silent: bool,
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing that can panic is done under the lock.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress {
    /// Begins to tell the Master of a build; does without if there is no Master to be told.
    pub(crate) fn begin(node: &Node<'_>, url: &SoftwareUrl) -> Progress {
        let slot = Arc::new(Slot::default());
        let teller = master_within(node.config, PATIENCE).ok().and_then(|master| {
            let (computer, slot) = (node.config.computer_id.clone(), Arc::clone(&slot));
            let tell = move || {
                tell(&master, &computer, &slot);
                slot.lock().silent = true;
                slot.changed.notify_all();
            };
            std::thread::Builder::new().name("progress".to_owned()).spawn(tell).ok()
        });
        slot.lock().silent |= teller.is_none();
        let state = BuildProgress { url: url.to_string(), ..BuildProgress::default() };
        Progress { state, making: Making::default(), log: String::new(), slot }
    }

    /// Takes note of what happens.
    pub(crate) fn event(&mut self, event: &Event) {
        advance(&mut self.state, &mut self.making, event);
        if let Some((level, text)) = worker::words(event) {
            self.log.push_str(&without_passwords(&format!("{level} {text}\n")));
            let start = self.log.ceil_char_boundary(self.log.len().saturating_sub(LONGEST));
            self.log.drain(..start);
        }
        let word = BuildProgress { log: Some(self.log.clone()), ..self.state.clone() };
        self.slot.lock().newest = Some(word);
        self.slot.changed.notify_all();
    }
}

impl Drop for Progress {
    /// Waits a little until the last word is told.
    fn drop(&mut self) {
        self.slot.lock().ended = true;
        self.slot.changed.notify_all();
        let telling = |waiting: &mut Waiting| !waiting.silent;
        drop(self.slot.changed.wait_timeout_while(self.slot.lock(), LAST_WORD, telling));
    }
}

/// The state after an event.
fn advance(state: &mut BuildProgress, making: &mut Making, event: &Event) {
    let number = |parts: usize| u32::try_from(parts).unwrap_or(u32::MAX);
    match event {
        Event::PlanMade { install, update, .. } => {
            (state.done, state.total) = (0, number(install.saturating_add(*update)));
            *making = Making::default();
        }
        Event::PartStarted { part, .. } => making.parts.push(part.clone()),
        Event::PartFinished { part, .. } => {
            state.done = state.done.saturating_add(1).min(state.total);
            making.parts.retain(|one| one != part);
        }
        Event::PartFailed { part, .. } => {
            making.parts.retain(|one| one != part);
            making.failed.clone_from(part);
        }
        _ => return,
    }
    state.part = match making.parts.is_empty() {
        true => making.failed.clone(),
        false => named(&making.parts),
    };
}

/// The first of these names, and how many more there are.
fn named(parts: &[String]) -> String {
    match parts.get(..NAMED) {
        Some(first) if parts.len() > NAMED => {
            format!("{} and {} more", first.join(", "), parts.len() - NAMED)
        }
        _ => parts.join(", "),
    }
}

/// Tells the newest word, now and then, until the build has ended or nobody hears.
fn tell(master: &SlapClient, computer: &ComputerId, slot: &Slot) {
    loop {
        let idle = |waiting: &mut Waiting| waiting.newest.is_none() && !waiting.ended;
        let held = slot.changed.wait_while(slot.lock(), idle);
        let Some(word) = held.unwrap_or_else(PoisonError::into_inner).newest.take() else {
            return;
        };
        if !matches!(master.tell_progress(computer, &word), Ok(true)) {
            return;
        }
        let running = |waiting: &mut Waiting| !waiting.ended;
        drop(slot.changed.wait_timeout_while(slot.lock(), EVERY, running));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::TcpListener;

    use super::*;
    use crate::NodeConfig;
    use crate::reporter::Deaf;

    #[test]
    fn the_end_of_a_build_does_not_wait_for_a_master_that_hangs() {
        let master = TcpListener::bind("127.0.0.1:0").unwrap();
        let text = format!(
            "[slapos]\nsoftware_root = /s\ninstance_root = /i\nmaster_url = http://{}\ncomputer_id = c\n",
            master.local_addr().unwrap()
        );
        let config = slapos_config::Config::parse(&text, "s").unwrap();
        let config = NodeConfig::from_config(&config, std::path::Path::new("s")).unwrap();
        let clock = slapos_sys::clock::SystemClock;
        let node = Node { config: &config, reporter: &Deaf, clock: &clock };
        let mut progress = Progress::begin(&node, &SoftwareUrl::new("/s.cfg"));
        progress.event(&Event::Warning { part: None, text: "a word".to_owned() });
        let (mut hung, _) = master.accept().unwrap();
        while hung.read(&mut [0; 4096]).unwrap() == 4096 {}
        drop(progress);
        // The teller has not given up yet: it was not waited for.
        hung.set_nonblocking(true).unwrap();
        while let Ok(read) = hung.read(&mut [0; 4096]) {
            assert_ne!(read, 0, "the call was waited for");
        }
    }

    #[test]
    fn parts_are_counted() {
        let (mut state, mut making) = (BuildProgress::default(), Making::default());
        let mut told = Vec::new();
        let part = "zlib".to_owned();
        for event in [
            Event::PlanMade { install: 2, update: 1, keep: 4, remove: 0 },
            Event::PartProgress { part: part.clone(), text: "configure".to_owned() },
            Event::PartFinished { part: "other".to_owned(), seconds: 1.0 },
            Event::PartFinished { part, seconds: 1.0 },
        ] {
            advance(&mut state, &mut making, &event);
            told.push((state.done, state.total));
        }
        assert_eq!(told, [(0, 3), (0, 3), (1, 3), (2, 3)]);
    }

    #[test]
    fn all_that_is_being_made_is_named() {
        let (mut state, mut making) = (BuildProgress::default(), Making::default());
        let mut after = |event: Event| {
            advance(&mut state, &mut making, &event);
            state.part.clone()
        };
        let begun = |part: &str| Event::PartStarted {
            part: part.to_owned(),
            action: slapos_engine::Action::Install,
            reason: String::new(),
        };
        let ended = |part: &str| Event::PartFinished { part: part.to_owned(), seconds: 1.0 };
        assert_eq!(after(begun("slow")), "slow");
        assert_eq!(after(begun("quick")), "slow, quick");
        assert_eq!(after(ended("quick")), "slow", "it is still being made");
        for part in ["a", "b", "c", "d"] {
            after(begun(part));
        }
        assert_eq!(after(begun("e")), "slow, a, b, c and 2 more");
        for part in ["slow", "a", "b", "c", "d"] {
            after(ended(part));
        }
        assert_eq!((after(ended("e")).as_str(), NAMED), ("", 4));
        after(begun("a"));
        after(begun("b"));
        let failed = Event::PartFailed {
            part: "a".to_owned(),
            message: String::new(),
            command: None,
            tail: Vec::new(),
            log: "/log".into(),
            at: String::new(),
            help: None,
        };
        assert_eq!(after(failed), "b");
        assert_eq!(after(ended("b")), "a", "which failed");
    }
}
