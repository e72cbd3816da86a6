//! Two Masters over one PostgreSQL database.

use std::collections::{BTreeMap, BTreeSet};

use slapos_slap::{Heard, SlapError};

use super::masters::{Configured, Place, computer, server, wish};

const PARTITIONS: usize = 40;
const WANTED: usize = 50;

/// Asks for all instances, `masters` in turn; those that find no room are left out.
fn ask_for_all(masters: &[&Configured], first: usize) -> BTreeMap<String, String> {
    let clients: Vec<_> = masters.iter().map(|master| master.client()).collect();
    let mut got = BTreeMap::new();
    for number in 0..WANTED {
        let title = format!("i{}", (first + number) % WANTED);
        let mut turn = first + number;
        loop {
            match clients[turn % clients.len()].request(&wish(&title)) {
                Ok(answer) => {
                    got.insert(title, answer.unwrap().partition.to_string());
                    break;
                }
                Err(SlapError::NotFound { .. }) => break,
                // The other Master goes on.
                Err(error) => assert!(error.is_temporary(), "{error}"),
            }
            turn += 1;
        }
    }
    got
}

#[test]
fn two_masters_allocate_at_once_and_when_one_dies_people_go_on() {
    let test = "two_masters_allocate_at_once_and_when_one_dies_people_go_on";
    let Some(server) = server(test) else { return };
    let (place, database) = (Place::new(), server.database("master"));
    let (one, two) = (place.configure("1.cfg", &database), place.configure("2.cfg", &database));
    let (first, second) = (one.start(), two.start());
    one.client().load_computer_configuration(&computer(PARTITIONS)).unwrap();
    let both = [&one, &two];
    let got: Vec<_> = std::thread::scope(|scope| {
        // All ask for the same, from different places on, so that most is asked for at once.
        let asking: Vec<_> =
            (0..4).map(|person| scope.spawn(move || ask_for_all(&both, person * 5))).collect();
        two.client().overview().unwrap();
        first.kill();
        asking.into_iter().map(|asking| asking.join().unwrap()).collect()
    });
    let mut places: BTreeMap<&String, BTreeSet<&String>> = BTreeMap::new();
    for (title, partition) in got.iter().flatten() {
        places.entry(title).or_default().insert(partition);
    }
    assert!(places.values().all(|places| places.len() == 1), "one title, two places: {places:?}");
    let taken: BTreeSet<_> = places.values().flatten().collect();
    assert_eq!((places.len(), taken.len()), (PARTITIONS, PARTITIONS), "every partition has one");
    let overview = two.client().overview().unwrap();
    assert_eq!(overview.instances.len(), PARTITIONS);
    second.kill();
}

#[test]
fn what_one_master_is_asked_the_listeners_of_another_hear_at_once() {
    let test = "what_one_master_is_asked_the_listeners_of_another_hear_at_once";
    let Some(mut server) = server(test) else { return };
    let (place, database) = (Place::new(), server.database("master"));
    let (one, two) = (place.configure("1.cfg", &database), place.configure("2.cfg", &database));
    let _running = (one.start(), two.start());
    one.client().load_computer_configuration(&computer(3)).unwrap();
    let mut stream = two.client().events(&"home".into(), None).unwrap();
    assert_eq!(stream.hear().unwrap(), Heard::Resync);
    for title in ["a", "b"] {
        one.client().request(&wish(title)).unwrap();
        // Without the bell of the other Master a sign of life would come first.
        let heard = stream.hear().unwrap();
        assert!(matches!(heard, Heard::Change(_)), "{heard:?}");
    }
    // The connection on which it hears is broken, and made again.
    server.stop();
    server.run();
    slapos_testkit::wait_for("the Masters to be well", 60, || {
        let well =
            |master: &Configured| master.get("/readyz").is_some_and(|answer| answer.0 == 200);
        (well(&one) && well(&two)).then_some(())
    });
    slapos_testkit::wait_for("the Masters to listen", 60, || {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'";
        (server.sql("master", sql) == "2").then_some(())
    });
    one.client().request(&wish("c")).unwrap();
    let position = stream.position().map(str::to_owned);
    let mut again = two.client().events(&"home".into(), position.as_deref()).unwrap();
    assert!(matches!(again.hear().unwrap(), Heard::Change(_)), "what was missed");
    one.client().computer_bang(&"home".into(), "again").unwrap();
    assert!(matches!(again.hear().unwrap(), Heard::Change(_)), "what is new");
}
