//! A Master that is killed some hundred times while people ask: what was answered is there, and no
//! partition has two instances.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use slapos_slap::SlapClient;

use super::masters::{Configured, Place, computer, server, wish};

const KILLS: u64 = 200;
const PEOPLE: usize = 3;
/// How many instances each of them has, which he asks for again and again with other parameters.
const INSTANCES: u64 = 40;

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
struct Crowd {
    answers: AtomicU64,
    over: AtomicBool,
    known: Mutex<BTreeMap<String, Known>>,
}

impl Crowd {
    /// Asks until it is over; who gets no answer asks the same again.
    fn ask(&self, client: &SlapClient, person: usize) {
        let mut number = 0;
        while !self.over.load(Ordering::SeqCst) {
            number += 1;
            let title = format!("p{person}-{}", number % INSTANCES);
            let mut request = wish(&title);
            request.parameters.insert("n".to_owned(), number.to_string());
            self.known.lock().unwrap().entry(title.clone()).or_default().sent = number;
            let answer = loop {
                match client.request(&request) {
                    Ok(answer) => break answer.expect("there is room"),
                    Err(error) => assert!(error.is_temporary(), "{error}"),
                }
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
    fn hear(&self, answers: u64) {
        let goal = self.answers.load(Ordering::SeqCst) + answers;
        slapos_testkit::wait_for("answers", 60, || {
            (self.answers.load(Ordering::SeqCst) >= goal).then_some(())
        });
    }
}

fn survives(master: &Configured) {
    let mut running = master.start();
    let client = master.client();
    client.load_computer_configuration(&computer(PEOPLE * INSTANCES as usize)).unwrap();
    let crowd = Crowd::default();
    let _running = std::thread::scope(|scope| {
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
        crowd.over.store(true, Ordering::SeqCst);
        running
    });
    let known = crowd.known.into_inner().unwrap();
    let mut present = BTreeMap::new();
    let mut partitions = Vec::new();
    for instance in client.overview().unwrap().instances {
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
    assert!(crowd.answers.into_inner() > KILLS, "few were answered");
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
