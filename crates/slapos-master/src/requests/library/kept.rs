//! What a Master keeps of schemas that it read of the network: which it may judge by, what is to be
//! read again, and whether the network is there at all. No effects and no clock: who asks says what
//! time it is, as the time since the machine was started.
//!
//! Invariants: what is kept is bounded in number, bytes and age, and what a project has read for itself
//! takes the place of what it had read before, as long as others have less; a reading that fails never
//! takes the place of what can still be judged by; a failure is kept, too, so that nobody waits for it
//! again.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::digest::{Digest, digest};
use crate::requests::schema::{Reading, Texts};

/// How long a person's request waits for schemas that are being read. A host that kept somebody
/// waiting for longer, in vain, is a sign that there is no network.
pub(in crate::requests) const WAIT: Duration = Duration::from_secs(2);

/// After what time it is read again.
const FRESH: Duration = Duration::from_secs(10 * 60);

/// The same where something could not be read.
const FAILED: Duration = Duration::from_secs(2 * 60);

/// Nothing is judged by what is older; who asks for nothing for so long is forgotten.
const OLDEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The most Software Releases.
const MOST: usize = 256;

/// The size of all that is kept, in bytes.
const MOST_BYTES: usize = 32 << 20;

/// The documents of a Software Release, as they were at one time.
#[derive(Debug)]
pub(in crate::requests) struct Bundle {
    /// The documents.
    pub(in crate::requests) texts: Arc<Texts>,
    /// Of the Software Release's address and all of them.
    pub(super) digest: Digest,
    bytes: usize,
    /// Whether all could be read.
    whole: bool,
}

impl Bundle {
    fn new(software: &str, texts: Texts) -> Bundle {
        let parts = texts.iter().flat_map(|(address, text)| match text {
            Ok(text) => [address.as_bytes(), b"read", text.as_bytes()],
            Err(why) => [address.as_bytes(), b"failed", why.as_bytes()],
        });
        Bundle {
            digest: digest(std::iter::once(software.as_bytes()).chain(parts)),
            bytes: texts.iter().map(|(address, text)| address.len() + said(text).len()).sum(),
            whole: texts.values().all(Result::is_ok),
            texts: Arc::new(texts),
        }
    }
}

fn said(text: &Result<String, String>) -> &str {
    text.as_ref().map_or_else(String::as_str, String::as_str)
}

/// What can be judged by, or why nothing can.
pub(super) type Known = Result<Arc<Bundle>, String>;

/// What is known of a Software Release.
#[derive(Debug, Default)]
struct Entry {
    /// For which project it was read first.
    project: String,
    /// What was read, and when.
    bundle: Option<(Arc<Bundle>, Duration)>,
    /// Why the last reading failed.
    failure: Option<String>,
    /// From when on it is to be read again.
    due: Duration,
    /// When somebody asked last.
    used: Duration,
}

impl Entry {
    fn bundle(&self, now: Duration) -> Option<&Arc<Bundle>> {
        let (bundle, read) = self.bundle.as_ref()?;
        (now.saturating_sub(*read) < OLDEST).then_some(bundle)
    }

    fn known(&self, now: Duration) -> Option<Known> {
        let bundle = self.bundle(now).map(|bundle| Ok(Arc::clone(bundle)));
        bundle.or_else(|| self.failure.clone().map(Err))
    }

    fn bytes(&self) -> usize {
        let bundle = self.bundle.as_ref().map_or(0, |(bundle, _)| bundle.bytes);
        bundle + self.failure.as_ref().map_or(0, String::len)
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Kept {
    releases: HashMap<String, Entry>,
    /// When a host was reached last.
    reached: Option<Duration>,
    /// Whether the last reading that says anything of it found no network.
    away: bool,
}

impl Kept {
    /// What is known of a Software Release, and whether it is to be read (again).
    pub(super) fn look(&mut self, software: &str, now: Duration) -> (Option<Known>, bool) {
        let Some(entry) = self.releases.get_mut(software) else { return (None, true) };
        entry.used = now;
        let due = now >= entry.due;
        // A failure counts for its time only.
        let known = entry.known(now).filter(|known| known.is_ok() || !due);
        let nothing = known.is_none();
        (known, due || nothing)
    }

    /// Whether anything is kept of a Software Release.
    pub(super) fn has(&self, software: &str) -> bool {
        self.releases.contains_key(software)
    }

    /// Whether it is of no use to wait for the network.
    pub(super) fn is_away(&self) -> bool {
        self.away
    }

    /// How many Software Releases can be judged by, and how many bytes all is that is kept.
    pub(super) fn size(&self) -> (usize, usize) {
        let kept = self.releases.values().filter(|entry| entry.bundle.is_some()).count();
        (kept, self.bytes())
    }

    fn bytes(&self) -> usize {
        self.releases.iter().map(|(software, entry)| software.len() + entry.bytes()).sum()
    }

    /// Takes what a reading found for a project that began at that time; what can be judged by now.
    pub(super) fn take(
        &mut self,
        (project, software): (&str, &str),
        reading: Reading,
        begun: Duration,
        now: Duration,
    ) -> Known {
        self.heard(reading.reached, begun, now);
        let new = || Entry { project: project.to_owned(), ..Entry::default() };
        let entry = self.releases.entry(software.to_owned()).or_insert_with(new);
        entry.used = now;
        entry.due = now + FAILED;
        entry.failure = reading.failed;
        if entry.failure.is_none() {
            let bundle = Bundle::new(software, reading.texts);
            if bundle.whole {
                entry.due = now + FRESH;
            }
            // What is whole gives way to what is whole, or to its age.
            let former = entry.bundle(now).is_some_and(|former| former.whole);
            if bundle.whole || !former {
                entry.bundle = Some((Arc::new(bundle), now));
            }
        }
        let nothing = || Err("nothing of it was read".to_owned());
        let known = entry.known(now).unwrap_or_else(nothing);
        self.make_room(now);
        known
    }

    /// Whether a host was reached by a reading that began at that time.
    fn heard(&mut self, reached: Option<bool>, begun: Duration, now: Duration) {
        // What fails at once keeps nobody waiting; and where somebody else reached a host since it
        // began, the network is there: nobody can have it taken for absent by an address of his own.
        let slow = now.saturating_sub(begun) >= WAIT;
        match reached {
            Some(true) => (self.reached, self.away) = (Some(now), false),
            Some(false) if slow && self.reached.is_none_or(|at| at < begun) => self.away = true,
            _ => {}
        }
    }

    /// Forgets what nobody asked for since long, and then what was asked for longest ago of the project
    /// that has most, so that no project makes others wait for theirs.
    fn make_room(&mut self, now: Duration) {
        self.releases.retain(|_, entry| now.saturating_sub(entry.used) < OLDEST);
        while self.releases.len() > MOST || self.bytes() > MOST_BYTES {
            let many = self.releases.len() > MOST;
            let size = |software: &str, entry: &Entry| {
                if many { 1 } else { software.len() + entry.bytes() }
            };
            let mut sizes = HashMap::<&str, usize>::new();
            for (software, entry) in &self.releases {
                *sizes.entry(&entry.project).or_default() += size(software, entry);
            }
            let oldest = self.releases.iter().max_by_key(|(software, entry)| {
                (sizes.get(entry.project.as_str()), Reverse((entry.used, *software)))
            });
            let Some(oldest) = oldest.map(|(software, _)| software.clone()) else { break };
            self.releases.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A project.
    const P: &str = "p";

    fn read(text: &str) -> Reading {
        let texts = [("https://h/s.json".to_owned(), Ok(text.to_owned()))].into();
        Reading { texts, failed: None, reached: Some(true) }
    }

    fn unreached() -> Reading {
        Reading { reached: Some(false), ..Reading::failed("no route") }
    }

    /// What is known: the document, or why there is none; and whether it is to be read.
    fn look(kept: &mut Kept, software: &str, now: Duration) -> (String, bool) {
        let (known, due) = kept.look(software, now);
        let known = match known {
            None => "nothing".to_owned(),
            Some(Err(why)) => why,
            Some(Ok(bundle)) => said(bundle.texts.values().next().unwrap()).to_owned(),
        };
        (known, due)
    }

    #[test]
    fn what_was_read_is_used_while_it_is_read_again() {
        let mut kept = Kept::default();
        let start = 100 * SECOND;
        assert_eq!(look(&mut kept, "s", start), ("nothing".to_owned(), true));
        kept.take((P, "s"), read("one"), start, start).unwrap();
        assert_eq!(look(&mut kept, "s", start + FRESH - SECOND), ("one".to_owned(), false));
        assert_eq!(look(&mut kept, "s", start + FRESH), ("one".to_owned(), true));
        // What fails takes nothing away, and is not repeated at once.
        let later = start + FRESH;
        kept.take((P, "s"), Reading::failed("404"), later, later).unwrap();
        assert_eq!(look(&mut kept, "s", later + SECOND), ("one".to_owned(), false));
        assert_eq!(look(&mut kept, "s", later + FAILED), ("one".to_owned(), true));
        kept.take((P, "s"), read("two"), later, later + FAILED).unwrap();
        assert_eq!(look(&mut kept, "s", later + FAILED), ("two".to_owned(), false));
    }

    #[test]
    fn what_is_too_old_is_not_judged_by() {
        let mut kept = Kept::default();
        kept.take((P, "s"), read("one"), SECOND, SECOND).unwrap();
        for failed in 1..24 * 6 {
            let now = SECOND + failed * FRESH;
            assert!(kept.take((P, "s"), Reading::failed("404"), now, now).is_ok(), "{failed}");
        }
        let now = SECOND + OLDEST;
        assert_eq!(look(&mut kept, "s", now), ("nothing".to_owned(), true));
        assert_eq!(kept.take((P, "s"), Reading::failed("404"), now, now).unwrap_err(), "404");
    }

    #[test]
    fn a_failure_is_kept_for_minutes() {
        let mut kept = Kept::default();
        assert_eq!(kept.take((P, "s"), Reading::failed("404"), SECOND, SECOND).unwrap_err(), "404");
        let end = SECOND + FAILED;
        assert_eq!(look(&mut kept, "s", end - SECOND), ("404".to_owned(), false));
        assert_eq!(look(&mut kept, "s", end), ("nothing".to_owned(), true));
        assert_eq!(kept.size(), (0, "s404".len()));
    }

    #[test]
    fn half_of_a_release_does_not_take_the_place_of_a_whole_one() {
        let half = || {
            let mut half = read("half");
            half.texts.insert("https://h/t.json".to_owned(), Err("slow".to_owned()));
            half
        };
        let mut kept = Kept::default();
        kept.take((P, "s"), half(), SECOND, SECOND).unwrap();
        assert_eq!(look(&mut kept, "s", 2 * SECOND).0, "half", "better than nothing");
        assert!(look(&mut kept, "s", SECOND + FAILED).1, "and read again soon");
        kept.take((P, "s"), read("whole"), SECOND, 2 * SECOND).unwrap();
        kept.take((P, "s"), half(), 3 * SECOND, 3 * SECOND).unwrap();
        assert_eq!(look(&mut kept, "s", 4 * SECOND).0, "whole");
    }

    #[test]
    fn only_who_kept_somebody_waiting_in_vain_says_that_there_is_no_network() {
        let mut kept = Kept::default();
        let (begun, end) = (SECOND, SECOND + WAIT);
        drop(kept.take((P, "quick"), unreached(), begun, end - SECOND));
        assert!(!kept.is_away());
        drop(kept.take((P, "gone"), Reading { reached: Some(true), ..unreached() }, begun, end));
        assert!(!kept.is_away());
        drop(kept.take((P, "slow"), unreached(), begun, end));
        assert!(!kept.is_away(), "somebody was reached meanwhile");
        drop(kept.take((P, "slow"), unreached(), end + SECOND, end + SECOND + WAIT));
        assert!(kept.is_away());
        drop(kept.take((P, "refused here"), Reading::failed("not public"), end, end + 9 * SECOND));
        assert!(kept.is_away(), "that says nothing of it");
        kept.take((P, "there"), read("one"), end, end + 9 * SECOND).unwrap();
        assert!(!kept.is_away());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut kept = Kept::default();
        let mut now = SECOND;
        for number in 0..MOST + 10 {
            now += SECOND;
            look(&mut kept, "0", now);
            kept.take((P, &number.to_string()), read("x"), now, now).unwrap();
        }
        assert_eq!(kept.size().0, MOST);
        assert!(kept.has("0") && !kept.has("1") && kept.has("265"), "who is asked for stays");
        let large = "x".repeat(MOST_BYTES / 4);
        for number in 0..10 {
            now += SECOND;
            kept.take((P, &format!("large {number}")), read(&large), now, now).unwrap();
            assert!(kept.size().1 <= MOST_BYTES, "{:?}", kept.size());
        }
        assert_eq!(kept.size().0, 3, "with their addresses, four do not fit");
        kept.take((P, "s"), read("x"), now, now + 2 * OLDEST).unwrap();
        assert_eq!(kept.size().0, 1, "who asked for the others does not any more");
    }

    #[test]
    fn a_project_that_has_much_read_makes_room_of_its_own() {
        let mut kept = Kept::default();
        kept.take((P, "mine"), read("x"), SECOND, SECOND).unwrap();
        let mut now = SECOND;
        for number in 0..2 * MOST {
            now += SECOND;
            kept.take(("q", &number.to_string()), read("x"), now, now).unwrap();
        }
        assert_eq!(kept.size().0, MOST);
        assert!(kept.has("mine") && !kept.has("0") && kept.has("511"));
        let large = "x".repeat(MOST_BYTES / 4);
        for number in 0..4 {
            now += SECOND;
            let name = format!("large {number}");
            kept.take(("r", &name), read(&large), now, now).unwrap();
        }
        assert!(kept.has("mine") && kept.has("511"), "they are small");
        assert!(!kept.has("large 0") && kept.has("large 3"));
        // Whoever asks later for what was read for another does not make it his.
        kept.take(("q", "mine"), read("x"), now, now).unwrap();
        let mine = &kept.releases["mine"];
        assert_eq!((mine.project.as_str(), mine.used), (P, now));
    }

    #[test]
    fn what_differs_has_another_digest() {
        let texts = |address: &str, text: Result<&str, &str>| -> Texts {
            let text = text.map(str::to_owned).map_err(str::to_owned);
            [(address.to_owned(), text)].into()
        };
        let bundles = [
            Bundle::new("s", texts("a", Ok("b"))),
            Bundle::new("t", texts("a", Ok("b"))),
            Bundle::new("s", texts("ab", Ok(""))),
            Bundle::new("s", texts("a", Err("b"))),
            Bundle::new("s", Texts::new()),
        ];
        let different: std::collections::HashSet<_> =
            bundles.iter().map(|bundle| bundle.digest).collect();
        assert_eq!(different.len(), bundles.len());
    }
}
