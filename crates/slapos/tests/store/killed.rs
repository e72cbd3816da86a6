//! A Master that is killed some hundred times while people ask: what was answered is there, and no
//! partition has two instances.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use slapos_slap::SlapClient;

use super::masters::{Configured, Place, computer, server, wish};

const KILLS: u64 = 200;
pub(crate) const PEOPLE: usize = 3;
/// How many instances each of them has, which he asks for again and again with other parameters.
const INSTANCES: usize = 40;

/// What one of the people knows of an instance.
#[derive(Debug, Clone, Default)]
struct Known {
    partition: String,
    /// The number that the Master has acknowledged.
    told: u64,
    /// The last one that was sent, which may have been taken without an answer.
    sent: u64,
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

    /// Asks until it is over; who gets no answer asks the same again.
    pub(crate) fn ask(&self, client: &SlapClient, person: usize) {
        let mut number = 0;
        while !self.over.load(Ordering::SeqCst) {
            number += 1;
            let title = format!("p{person}-{}", number % INSTANCES as u64);
            let mut request = wish(&title);
            request.parameters.insert("n".to_owned(), number.to_string());
            self.known.lock().unwrap().entry(title.clone()).or_default().sent = number;
            let answer = loop {
                match client.request(&request) {
                    Ok(answer) => break answer.expect("there is room"),
                    Err(error) => assert!(error.is_temporary(), "{error}"),
                }
                self.failures.fetch_add(1, Ordering::SeqCst);
                if self.over.load(Ordering::SeqCst) {
                    return;
                }
                std::thread::yield_now();
            };
            let mut known = self.known.lock().unwrap();
            let known = known.entry(title).or_default();
            let partition = answer.partition.to_string();
            assert!(known.partition.is_empty() || known.partition == partition, "it moved");
            known.partition = partition;
            known.told = number;
            self.answers.fetch_add(1, Ordering::SeqCst);
        }
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
        let number: u64 = instance.parameters["n"].parse().unwrap();
        partitions.push(instance.partition.to_string());
        let double = present.insert(instance.title.clone(), (instance.partition, number));
        assert!(double.is_none(), "{} is there twice", instance.title);
    }
    for (title, known) in known.iter().filter(|(_, known)| known.told > 0) {
        let (partition, number) = &present[title];
        assert_eq!(partition.as_str(), known.partition, "{title}");
        assert!([known.told, known.sent].contains(number), "{title} has {number}: {known:?}");
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
