//! A Master that is killed some hundred times while people ask and nodes report: what was answered is
//! there, and no partition has two instances.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use slapos_slap::{SlapClient, SlapError};

use super::masters::{Configured, Place, computer, server, wish};

const KILLS: u64 = 200;
pub(crate) const PEOPLE: usize = 3;
/// How many instances each of them has, which he asks for again and again with other parameters.
const INSTANCES: usize = 40;

/// A number that the Master keeps.
#[derive(Debug, Clone, Copy, Default)]
struct Number {
    /// The one that it has acknowledged.
    told: u64,
    /// The last one that was sent, which may have been taken without an answer.
    sent: u64,
}

/// What one of the people knows of an instance.
#[derive(Debug, Clone, Default)]
struct Known {
    partition: String,
    /// In its parameters.
    asked: Number,
    /// In what its node reported last.
    reported: Number,
}

/// What all of them share.
#[derive(Default)]
pub(crate) struct Crowd {
    pub(crate) answers: AtomicU64,
    /// How often somebody was told to come again, or was not answered.
    pub(crate) failures: AtomicU64,
    over: AtomicBool,
    known: Mutex<BTreeMap<String, Known>>,
}

/// Has it over, whatever happens.
pub(crate) struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Crowd {
    /// How many partitions they want together.
    pub(crate) fn room(&self) -> usize {
        PEOPLE * INSTANCES
    }

    /// It is over when that is dropped.
    pub(crate) fn ends_when_dropped(&self) -> Over<'_> {
        Over(&self.over)
    }

    /// Asks, and reports what it got, until it is over; who gets no answer says the same again.
    pub(crate) fn ask(&self, client: &SlapClient, person: usize) {
        let mut number = 0;
        while !self.over.load(Ordering::SeqCst) {
            number += 1;
            let title = format!("p{person}-{}", number % INSTANCES as u64);
            let mut request = wish(&title);
            request.parameters.insert("n".to_owned(), number.to_string());
            self.know(&title, |known| known.asked.sent = number);
            let Some(answer) = self.answered(|| client.request(&request)) else { return };
            let answer = answer.expect("there is room");
            let partition = answer.partition.to_string();
            self.know(&title, |known| {
                assert!(known.partition.is_empty() || known.partition == partition, "it moved");
                known.partition = partition;
                known.asked.told = number;
            });
            self.know(&title, |known| known.reported.sent = number);
            let message = number.to_string();
            let report = || client.instance_error(&answer.computer, &answer.partition, &message);
            let Some(()) = self.answered(report) else { return };
            self.know(&title, |known| known.reported.told = number);
        }
    }

    /// Asks until there is an answer; none when it is over.
    fn answered<T>(&self, ask: impl Fn() -> Result<T, SlapError>) -> Option<T> {
        loop {
            match ask() {
                Ok(answer) => {
                    self.answers.fetch_add(1, Ordering::SeqCst);
                    return Some(answer);
                }
                Err(error) => assert!(error.is_temporary(), "{error}"),
            }
            self.failures.fetch_add(1, Ordering::SeqCst);
            if self.over.load(Ordering::SeqCst) {
                return None;
            }
            std::thread::yield_now();
        }
    }

    fn know(&self, title: &str, change: impl FnOnce(&mut Known)) {
        change(self.known.lock().unwrap().entry(title.to_owned()).or_default());
    }

    /// Waits until that many more answers were given.
    pub(crate) fn hear(&self, answers: u64) {
        let goal = self.answers.load(Ordering::SeqCst) + answers;
        slapos_testkit::wait_for("answers", 60, || {
            (self.answers.load(Ordering::SeqCst) >= goal).then_some(())
        });
    }
}

fn survives(master: &Configured) {
    let mut running = master.start();
    let client = master.client();
    let crowd = Crowd::default();
    client.load_computer_configuration(&computer(crowd.room())).unwrap();
    let _running = std::thread::scope(|scope| {
        let _over = crowd.ends_when_dropped();
        for person in 0..PEOPLE {
            let client = master.client();
            let crowd = &crowd;
            scope.spawn(move || crowd.ask(&client, person));
        }
        for round in 0..KILLS {
            // At other moments each time: others are being answered while one hears his answer.
            crowd.hear(round % 7);
            running.kill();
            running = master.start();
        }
        crowd.hear(1);
        running
    });
    agrees(master, &crowd);
    assert!(crowd.answers.into_inner() > KILLS, "few were answered");
}

/// Requires that the Master has what people were told, and no partition twice.
pub(crate) fn agrees(master: &Configured, crowd: &Crowd) {
    let known = crowd.known.lock().unwrap();
    let mut present = BTreeMap::new();
    let mut partitions = Vec::new();
    for instance in master.client().overview().unwrap().instances {
        let asked: u64 = instance.parameters["n"].parse().unwrap();
        let reported = instance.reported.map_or(0, |report| report.message.parse().unwrap());
        partitions.push(instance.partition.to_string());
        let numbers = (instance.partition, asked, reported);
        let double = present.insert(instance.title.clone(), numbers);
        assert!(double.is_none(), "{} is there twice", instance.title);
    }
    for (title, known) in known.iter().filter(|(_, known)| known.asked.told > 0) {
        let (partition, asked, reported) = &present[title];
        assert_eq!(partition.as_str(), known.partition, "{title}");
        let kept = |number: Number, has: &u64| [number.told, number.sent].contains(has);
        assert!(kept(known.asked, asked), "{title} has {asked}: {known:?}");
        assert!(kept(known.reported, reported), "{title} reported {reported}: {known:?}");
    }
    let all = partitions.len();
    partitions.sort();
    partitions.dedup();
    assert_eq!(partitions.len(), all, "a partition has two instances");
}

#[test]
fn nothing_that_was_answered_is_lost_with_sqlite() {
    let place = Place::new();
    survives(&place.configure("a.cfg", &place.file()));
}

#[test]
fn nothing_that_was_answered_is_lost_with_postgresql() {
    let Some(server) = server("nothing_that_was_answered_is_lost_with_postgresql") else { return };
    survives(&Place::new().configure("a.cfg", &server.database("master")));
}
