//! A Master whose disk is full, or broken, or that is killed in the middle of what it writes, while
//! several people ask at once, so that their changes reach the disk together: who was answered has
//! what he was told, and who was not has all or nothing. Faults by `strace`.

use std::sync::atomic::Ordering;

use slapos_testkit::{SmallDisk, skipped, wait_for};

use super::killed::{Crowd, PEOPLE, agrees};
use super::masters::{Configured, Place, computer};

/// What SQLite puts its file on disk by.
const CALLS: &str = "pwrite64,fsync,fdatasync";

/// How many people are answered in between.
const ANSWERS: u64 = 60;

pub(crate) fn can_trace(test: &str) -> bool {
    let mut strace = std::process::Command::new("strace");
    strace.args(["-D", "-f", "--seccomp-bpf", "-o", "/dev/null", "true"]);
    let works = strace.stderr(std::process::Stdio::null()).status();
    let works = works.is_ok_and(|status| status.success());
    if !works {
        skipped(test, "strace is not installed or may not trace");
    }
    works
}

/// A Master with a computer, which ran once.
fn ready(place: &Place) -> (Configured, Crowd) {
    let master = place.configure("a.cfg", &place.file());
    let running = master.start();
    let crowd = Crowd::default();
    master.client().load_computer_configuration(&computer(crowd.room())).unwrap();
    running.kill();
    (master, crowd)
}

/// Lets people ask one Master after the other, each with its own fault; a Master that is dead is
/// followed by the next one at once.
fn survives(faults: &[String]) {
    let place = Place::new();
    let (master, crowd) = ready(&place);
    std::thread::scope(|scope| {
        let _over = crowd.ends_when_dropped();
        for person in 0..PEOPLE {
            let (client, crowd) = (master.client(), &crowd);
            scope.spawn(move || crowd.ask(&client, person));
        }
        for fault in faults {
            let before = crowd.answers.load(Ordering::SeqCst);
            let mut running = master.start_traced(&format!("{CALLS}:{fault}"));
            wait_for("answers, or the Master's end", 120, || {
                let answers = crowd.answers.load(Ordering::SeqCst) - before;
                (answers >= ANSWERS || running.is_over()).then_some(())
            });
            running.kill();
        }
        // With a disk that works all who still ask are answered.
        let _running = master.start();
        crowd.hear(2 * PEOPLE as u64);
    });
    let failures = crowd.failures.load(Ordering::SeqCst);
    assert!(failures > 0, "nobody met a fault");
    let _running = master.start();
    agrees(&master, &crowd);
}

#[test]
fn who_was_answered_by_a_master_with_a_bad_disk_has_what_he_was_told() {
    let test = "who_was_answered_by_a_master_with_a_bad_disk_has_what_he_was_told";
    if !can_trace(test) {
        return;
    }
    // After what a start takes; then now and then, or for a while. What calls are counted of is a
    // thread, of which any may commit: further apart than what one commit writes, or none succeeds.
    let errors = ["ENOSPC", "EIO"].into_iter();
    let faults = errors.flat_map(|error| {
        ["when=60+41", "when=63+53", "when=60..160"].map(|when| format!("error={error}:{when}"))
    });
    survives(&faults.collect::<Vec<_>>());
}

#[test]
fn a_master_that_is_killed_while_it_writes_for_several_leaves_no_half_of_it() {
    let test = "a_master_that_is_killed_while_it_writes_for_several_leaves_no_half_of_it";
    if !can_trace(test) {
        return;
    }
    // At another call each time.
    let faults = (0..24).map(|number| format!("signal=KILL:when={}", 60 + 3 * number));
    survives(&faults.collect::<Vec<_>>());
}

#[test]
fn a_master_is_not_ready_while_its_disk_is_full() {
    if !slapos_sys::user::is_root() {
        skipped(
            "a_master_is_not_ready_while_its_disk_is_full",
            "needs root, to mount a small disk",
        );
        return;
    }
    let place = Place::new();
    let _disk = SmallDisk::mount(&place.path("master"), 32);
    let master = place.configure("a.cfg", &place.file());
    let _running = master.start();
    let ready = || master.get("/readyz").map(|(status, _, body)| (status, body)).unwrap();
    assert_eq!(ready(), (200, "ready".to_owned()));
    let filler = place.path("master/filler");
    std::fs::write(&filler, vec![0; 20 << 20]).unwrap();
    let words = "not ready: the disk of the database is full, or cannot be written";
    assert_eq!(ready(), (503, words.to_owned()));
    assert_eq!(master.get("/healthz").unwrap().0, 200);
    std::fs::remove_file(&filler).unwrap();
    assert_eq!(ready(), (200, "ready".to_owned()));
}
