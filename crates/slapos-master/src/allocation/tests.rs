//! The policy by its properties, and what it says when there is no place.

use proptest::prelude::*;
use slapos_slap::AllocationScope::{Closed, Drain, Open};

use super::*;

fn texts(items: &[(&str, &str)]) -> IndexMap<String, String> {
    items.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn candidate(name: &str) -> Candidate {
    Candidate {
        computer: name.into(),
        project: String::new(),
        scope: Open,
        labels: IndexMap::new(),
        network: String::new(),
        release: Release::Available,
        free: 1,
        partitions: None,
        capacity: None,
    }
}

/// Asks for an instance of a project with that SLA, from `here`.
fn decide(
    project: &str,
    sla: &[(&str, &str)],
    here: Option<&str>,
    candidates: &[Candidate],
) -> Result<Vec<String>, String> {
    let filter = Filter::read(&texts(sla), project)
        .map_err(|reason| Refusal::contradiction("x", &reason).to_string())?;
    let home = ComputerId::from("home");
    let here = here.map(ComputerId::from);
    let taken = ["lan".to_owned()].into();
    let ask = Ask {
        title: "x",
        software: "URL",
        project,
        filter: &filter,
        home: &home,
        here: here.as_ref(),
        taken: &taken,
    };
    match ranked(&ask, candidates) {
        Ok(found) => Ok(found.iter().map(|one| one.computer.to_string()).collect()),
        Err(refusal) => Err(refusal.to_string()),
    }
}

#[test]
fn the_order_of_preference() {
    let mut all = vec![
        candidate("a"),
        candidate("b"),
        candidate("home"),
        candidate("here"),
        candidate("roomy"),
        candidate("building"),
        candidate("broken"),
        candidate("own"),
    ];
    all[4].free = 9;
    all[5].release = Release::Wanted;
    all[6].release = Release::Failed;
    all[7].project = "p".to_owned();
    all[7].release = Release::Failed;
    let order = decide("p", &[], Some("here"), &all).unwrap().join(" ");
    assert_eq!(order, "own here home roomy a b building broken");
    // Computers of a project are for that project.
    let order = decide("", &[], None, &all).unwrap().join(" ");
    assert_eq!(order, "home roomy a b here building broken");
    // Unless the operator names one.
    assert_eq!(decide("", &[("computer_guid", "own")], None, &all).unwrap(), ["own"]);
    assert!(decide("q", &[("computer_guid", "own")], None, &all).is_err());
}

#[test]
fn what_is_asked_of_the_place() {
    let mut all = vec![candidate("a"), candidate("b"), candidate("c"), candidate("d")];
    all[1].labels = texts(&[("region", "eu"), ("disk", "ssd")]);
    all[2].labels = texts(&[("capability", "gpu, tpu")]);
    all[1].network = "wan".to_owned();
    all[2].network = "lan".to_owned();
    let found = |sla: &[(&str, &str)]| decide("", sla, None, &all).map(|found| found.join(" "));
    assert_eq!(found(&[]).unwrap(), "a b d", "c is there for a purpose");
    assert_eq!(found(&[("capability", "tpu")]).unwrap(), "c");
    assert_eq!(found(&[("computer_guid", "c")]).unwrap(), "c", "it is named");
    assert_eq!(found(&[("label_disk", "ssd"), ("region", "eu")]).unwrap(), "b");
    assert_eq!(found(&[("network_guid", "wan")]).unwrap(), "b");
    assert_eq!(found(&[("mode", "unique_by_network")]).unwrap(), "b");
    assert_eq!(found(&[("computer_guid", ""), ("no_such_key", "1")]).unwrap(), "a b d");
    insta::assert_snapshot!(found(&[("label_disk", "hdd")]).unwrap_err(), @"No free computer partition found for: x. 4 computers have the release: 4 not with disk=hdd");
    all[2].labels.insert("disk".to_owned(), "hdd".to_owned());
    insta::assert_snapshot!(decide("", &[("label_disk", "hdd")], None, &all).unwrap_err(), @"No free computer partition found for: x. 4 computers have the release: 3 not with disk=hdd, 1 with a capability of their own");
    let alone = decide("", &[("label_disk", "hdd")], None, &all[2..3]).unwrap_err();
    insta::assert_snapshot!(alone, @"No free computer partition found for: x. Computer c serves only those who ask for its capability");
    let found = |sla: &[(&str, &str)]| decide("", sla, None, &all).map(|found| found.join(" "));
    assert!(found(&[("retention_delay", "1.5")]).is_ok());
    insta::assert_snapshot!(found(&[("retention_delay", "nan")]).unwrap_err(), @"No free computer partition found for: x. retention_delay=nan is no number of days");
    insta::assert_snapshot!(found(&[("mode", "unique_by_moon")]).unwrap_err(), @"No free computer partition found for: x. mode=unique_by_moon is not known: it can be unique_by_network");
    insta::assert_snapshot!(found(&[("project_guid", "p")]).unwrap_err(), @"No free computer partition found for: x. project_guid=p contradicts the project of the instance, which is the operator's");
}

#[test]
fn refusals_say_what_is_in_the_way() {
    let said = |all: &[Candidate]| decide("", &[], None, all).unwrap_err();
    let with = |change: fn(&mut Candidate)| {
        let mut one = candidate("home");
        one.release = Release::Absent;
        one.partitions = Some(4);
        change(&mut one);
        said(&[one])
    };
    insta::assert_snapshot!(said(&[]), @"No free computer partition found for: x. No computer has the Software Release URL: supply it to one");
    insta::assert_snapshot!(with(|c| c.free = 0), @"No free computer partition found for: x. Computer home has 4 partitions, all in use: destroy an instance or format more");
    insta::assert_snapshot!(with(|c| { c.free = 0; c.capacity = Some(2) }), @"No free computer partition found for: x. Computer home holds as many instances as its capacity, 2: destroy one or raise it");
    insta::assert_snapshot!(with(|c| c.scope = Closed), @"No free computer partition found for: x. Computer home is closed for new instances: `slapos proxy computer set home --scope open` opens it");
    insta::assert_snapshot!(with(|c| c.scope = Drain), @"No free computer partition found for: x. Computer home is to become empty, and takes no new instance");
    insta::assert_snapshot!(with(|c| c.partitions = Some(0)), @"No free computer partition found for: x. Computer home has no partition yet: run `slapos node format` there");
    let mut all = vec![candidate("a"), candidate("b"), candidate("c"), candidate("home")];
    all[0].scope = Closed;
    all[1].scope = Closed;
    all[2].free = 0;
    all[3].release = Release::Absent;
    all[3].partitions = Some(0);
    insta::assert_snapshot!(said(&all), @"No free computer partition found for: x. 3 computers have the release: 2 closed, 1 full. Computer home has no partition yet: run `slapos node format` there");
}

fn any_candidate() -> impl Strategy<Value = Candidate> {
    (
        prop::sample::select(vec!["home", "a", "b", "c", "d"]),
        prop::sample::select(vec!["", "p", "q"]),
        prop::sample::select(vec![Open, Open, Closed, Drain]),
        prop::sample::select(vec!["", "eu", "us"]),
        prop::sample::select(vec!["", "lan", "wan"]),
        prop::sample::select(vec![
            Release::Absent,
            Release::Failed,
            Release::Wanted,
            Release::Available,
        ]),
        0_u64..3,
    )
        .prop_map(|(name, project, scope, region, network, release, free)| Candidate {
            project: project.to_owned(),
            scope,
            labels: texts(&[("region", region)]),
            network: network.to_owned(),
            release,
            free,
            ..candidate(name)
        })
}

fn any_sla() -> impl Strategy<Value = Vec<(&'static str, &'static str)>> {
    let one = prop::sample::select(vec![
        ("region", "eu"),
        ("network_guid", "wan"),
        ("computer_guid", "b"),
        ("mode", "unique_by_network"),
        ("retention_delay", "3"),
    ]);
    prop::collection::vec(one, 0..3)
}

proptest! {
    #[test]
    fn a_place_fits_and_a_refusal_adds_up(
        candidates in prop::collection::vec(any_candidate(), 0..8),
        sla in any_sla(),
        project in prop::sample::select(vec!["", "p"]),
        seed in any::<u64>(),
    ) {
        let filter = Filter::read(&texts(&sla), project).unwrap();
        let home = ComputerId::from("home");
        let taken = ["lan".to_owned()].into();
        let ask = Ask {
            title: "x", software: "URL", project, filter: &filter, home: &home, here: None,
            taken: &taken,
        };
        match ranked(&ask, &candidates) {
            Ok(found) => {
                for one in &found {
                    let named = filter.computer.as_ref() == Some(&one.computer);
                    prop_assert_eq!(one.scope, Open);
                    prop_assert!(one.free > 0);
                    prop_assert!(filter.computer.is_none() || named);
                    prop_assert!(filter.network.as_ref().is_none_or(|n| *n == one.network));
                    prop_assert!(!filter.unique_by_network || one.network == "wan");
                    prop_assert!(one.release != Release::Absent || named || one.computer == home);
                    prop_assert!(
                        one.project.is_empty() || one.project == project
                            || (project.is_empty() && named)
                    );
                }
                // Whatever order they come in, the order is the same.
                let mut shuffled = candidates.clone();
                let half = usize::try_from(seed % 8).unwrap() % candidates.len();
                shuffled.rotate_left(half);
                let again = ranked(&ask, &shuffled).unwrap();
                let order = |all: &[&Candidate]| {
                    all.iter().map(|one| (one.computer.clone(), one.free)).collect::<Vec<_>>()
                };
                prop_assert_eq!(order(&found), order(&again));
            }
            Err(refusal) => {
                let with = candidates.iter().filter(|one| one.release != Release::Absent).count();
                prop_assert_eq!(refusal.with_release, with);
                prop_assert_eq!(refusal.counts.values().sum::<usize>(), with);
                let text = refusal.to_string();
                prop_assert!(text.starts_with("No free computer partition found for: x. "));
            }
        }
    }
}
