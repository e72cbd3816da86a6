//! As long as the revision of a computer is the same, so is all that its node is told.

use std::collections::HashMap;

use proptest::prelude::*;
use slapos_slap::{Computer, ComputerId, PartitionId, SoftwareState};

use super::*;
use crate::store::Revision;

const COMPUTERS: [&str; 2] = ["home", "away"];

/// Something that somebody does; numbers say to what, or with what.
#[derive(Debug, Clone)]
enum Deed {
    Request { title: u8, computer: usize, by: Option<u8>, word: u8, state: u8 },
    Share { title: u8, by: Option<u8>, word: u8, gone: bool },
    Publish { computer: usize, partition: u8, word: u8 },
    PublishShared { computer: usize, partition: u8, title: u8, word: u8 },
    Rename { computer: usize, partition: u8, title: u8 },
    Report { computer: usize, partition: u8, state: u8 },
    Destroyed { computer: usize, partition: u8 },
    Bang { computer: usize, partition: u8 },
    BangComputer { computer: usize },
    Supply { computer: usize, word: u8, state: bool },
    Built { computer: usize, word: u8, gone: bool },
    Format { computer: usize, partitions: usize },
    Restart { computer: usize, partition: u8 },
    Forget { computer: usize, partition: u8, destroy: bool },
}

fn deed() -> impl Strategy<Value = Deed> {
    let computer = || 0..COMPUTERS.len();
    let by = || proptest::option::of(0_u8..4);
    prop_oneof![
        4 => (0_u8..4, computer(), by(), 0_u8..3, 0_u8..4).prop_map(
            |(title, computer, by, word, state)| Deed::Request { title, computer, by, word, state }
        ),
        2 => (0_u8..3, by(), 0_u8..3, any::<bool>())
            .prop_map(|(title, by, word, gone)| Deed::Share { title, by, word, gone }),
        1 => (computer(), 0_u8..4, 0_u8..3)
            .prop_map(|(computer, partition, word)| Deed::Publish { computer, partition, word }),
        1 => (computer(), 0_u8..4, 0_u8..3, 0_u8..3).prop_map(|(computer, partition, title, word)| {
            Deed::PublishShared { computer, partition, title, word }
        }),
        1 => (computer(), 0_u8..4, 0_u8..5)
            .prop_map(|(computer, partition, title)| Deed::Rename { computer, partition, title }),
        1 => (computer(), 0_u8..4, 0_u8..3)
            .prop_map(|(computer, partition, state)| Deed::Report { computer, partition, state }),
        1 => (computer(), 0_u8..4)
            .prop_map(|(computer, partition)| Deed::Destroyed { computer, partition }),
        1 => (computer(), 0_u8..4).prop_map(|(computer, partition)| Deed::Bang { computer, partition }),
        1 => computer().prop_map(|computer| Deed::BangComputer { computer }),
        1 => (computer(), 0_u8..3, any::<bool>())
            .prop_map(|(computer, word, state)| Deed::Supply { computer, word, state }),
        1 => (computer(), 0_u8..3, any::<bool>())
            .prop_map(|(computer, word, gone)| Deed::Built { computer, word, gone }),
        1 => (computer(), 0_usize..6)
            .prop_map(|(computer, partitions)| Deed::Format { computer, partitions }),
        1 => (computer(), 0_u8..4)
            .prop_map(|(computer, partition)| Deed::Restart { computer, partition }),
        1 => (computer(), 0_u8..4, any::<bool>())
            .prop_map(|(computer, partition, destroy)| Deed::Forget { computer, partition, destroy }),
    ]
}

fn title(number: u8) -> String {
    format!("title {number}")
}

fn place(computer: usize, partition: u8) -> (ComputerId, PartitionId) {
    (COMPUTERS[computer].into(), format!("slappart{partition}").into())
}

fn software(word: u8) -> slapos_slap::SoftwareUrl {
    slapos_slap::SoftwareUrl::new(format!("http://example.org/{word}.cfg"))
}

/// Does it; what is refused is no deed.
async fn act(store: &Store, deed: &Deed) {
    let words = |word: u8| texts(&[("word", &word.to_string())]);
    match deed {
        Deed::Request { title: number, computer, by, word, state } => {
            let mut request = wish(&title(*number));
            request.sla = texts(&[("computer_guid", COMPUTERS[*computer])]);
            request.parameters = words(*word);
            request.requester = by.map(|partition| place(0, partition));
            request.state = [
                None,
                Some(InstanceState::Started),
                Some(InstanceState::Stopped),
                Some(InstanceState::Destroyed),
            ][usize::from(*state)];
            let _ = store.request(&request).await;
        }
        Deed::Share { title: number, by, word, gone } => {
            let mut request = wish(&title(*number));
            request.shared = true;
            request.parameters = words(*word);
            request.requester = by.map(|partition| place(0, partition));
            request.state = gone.then_some(InstanceState::Destroyed);
            let _ = store.request(&request).await;
        }
        Deed::Publish { computer, partition, word } => {
            let (computer, partition) = place(*computer, *partition);
            let _ = store.set_connection(&computer, &partition, &words(*word)).await;
        }
        Deed::PublishShared { computer, partition, title: number, word } => {
            let (computer, partition) = place(*computer, *partition);
            let reference = format!("_{}", title(*number));
            let connection = words(*word);
            let _ =
                store.set_shared_connection(&computer, &partition, &reference, &connection).await;
        }
        Deed::Rename { computer, partition, title: number } => {
            let (computer, partition) = place(*computer, *partition);
            let _ = store.rename(&computer, &partition, &title(*number)).await;
        }
        Deed::Report { computer, partition, state } => {
            let (computer, partition) = place(*computer, *partition);
            let state = ["started", "stopped", "error"][usize::from(*state)];
            let _ = store.report_instance(&computer, &partition, state, "why").await;
        }
        Deed::Destroyed { computer, partition } => {
            let (computer, partition) = place(*computer, *partition);
            let _ = store.destroyed(&computer, &partition).await;
        }
        Deed::Bang { computer, partition } => {
            let (computer, partition) = place(*computer, *partition);
            let _ = store.bang(&computer, &partition).await;
        }
        Deed::BangComputer { computer } => {
            let _ = store.bang_computer(&COMPUTERS[*computer].into()).await;
        }
        Deed::Supply { computer, word, state } => {
            let state = if *state { SoftwareState::Available } else { SoftwareState::Destroyed };
            let _ = store.supply(&software(*word), &COMPUTERS[*computer].into(), state).await;
        }
        Deed::Built { computer, word, gone } => {
            let (software, computer) = (software(*word), COMPUTERS[*computer].into());
            if *gone {
                let _ = store.software_destroyed(&software, &computer).await;
            } else {
                let _ = store.report_software(&software, &computer, "available", "").await;
            }
        }
        Deed::Restart { computer, partition } => {
            let (computer, partition) = place(*computer, *partition);
            let _ = store.restart(&computer, &partition).await;
        }
        Deed::Forget { computer, partition, destroy } => {
            let (computer, partition) = place(*computer, *partition);
            let _ = store.still_asked_for(&computer, &partition, &[]).await;
            if *destroy {
                let _ = store.destroy_orphans(&computer, &partition).await;
            }
        }
        Deed::Format { computer, partitions } => {
            let _ = store.format(&description(COMPUTERS[*computer], *partitions)).await;
        }
    }
}

async fn all_is_coherent(deeds: &[Deed]) {
    let fixture = store(4).await;
    fixture.store.format(&description("away", 4)).await.unwrap();
    let mut told: HashMap<&str, (Revision, Computer)> = HashMap::new();
    for (number, deed) in deeds.iter().enumerate() {
        act(&fixture.store, deed).await;
        for name in COMPUTERS {
            let (revision, computer) = fixture.store.computer_at(&name.into()).await.unwrap();
            if let Some((before, former)) = told.get(name)
                && *before == revision
            {
                assert_eq!(*former, computer, "after deed {number}, {deed:?}, about {name}");
            }
            // What is told of a partition alone is cut out of the same.
            if let Some(part) = computer.partitions.get(number % computer.partitions.len().max(1)) {
                let alone = fixture.store.partition(&part.computer, &part.id).await.unwrap();
                assert_eq!(alone, *part, "after deed {number}, {deed:?}");
            }
            told.insert(name, (revision, computer));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn nothing_changes_without_the_revision(deeds in proptest::collection::vec(deed(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(all_is_coherent(&deeds));
    }
}
