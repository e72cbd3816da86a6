//! The schedule, with a clock that the test turns.

use proptest::prelude::*;
use slapos_slap::SoftwareUrl;

use super::*;

const POLL: Duration = MINUTE;

fn secs(seconds: u64) -> Moment {
    Duration::from_secs(seconds)
}

fn said(kind: ChangeKind) -> Input {
    Input::Change(Change::of_partition(kind, &"slappart0".into()).state("started"))
}

/// Starts as text, such as `instance: it is time`.
fn text(starts: &[Start]) -> Vec<String> {
    starts.iter().map(|start| format!("{}: {}", start.job.word(), start.why)).collect()
}

/// A schedule that has been told everything and did its first runs, at second 3.
fn settled() -> Schedule {
    let mut schedule = Schedule::new(POLL, false, 1);
    assert_eq!(text(&schedule.step(secs(0), Input::Time)), ["format: it is time"]);
    schedule.step(secs(1), Input::Source(Source::Told));
    assert!(schedule.step(secs(1), Input::Resync).is_empty(), "addresses come first");
    let first = schedule.step(secs(1), Input::Ended(Job::Format, Ending::Done));
    assert_eq!(
        text(&first),
        ["software: something may have been missed", "report: something may have been missed"]
    );
    let next = schedule.step(secs(1), Input::Ended(Job::Report, Ending::Done));
    assert_eq!(text(&next), ["instance: something may have been missed"]);
    schedule.step(secs(1), Input::Ended(Job::Software, Ending::Done));
    assert!(schedule.step(secs(3), Input::Ended(Job::Instance, Ending::Done)).is_empty());
    schedule
}

#[test]
fn what_the_master_says_is_done_at_once() {
    let mut schedule = settled();
    let starts = schedule.step(secs(4), said(ChangeKind::Request));
    assert_eq!(text(&starts), ["instance: the Master says `request`"]);
    // However much is said while it runs, one more run serves all of it.
    for _ in 0..50 {
        assert!(schedule.step(secs(4), said(ChangeKind::Bang)).is_empty());
    }
    let starts = schedule.step(secs(5), Input::Ended(Job::Instance, Ending::Done));
    assert_eq!(text(&starts), ["instance: the Master says `bang`"]);
    assert!(schedule.step(secs(6), Input::Ended(Job::Instance, Ending::Failed)).is_empty());
}

#[test]
fn each_word_has_its_command() {
    let job = |change: Change| job_for(&change).map(Job::word);
    let partition = |kind| Change::of_partition(kind, &"slappart0".into());
    let supply = Change::of_software(ChangeKind::Supply, &SoftwareUrl::new("/s.cfg"));
    assert_eq!(job(supply), Some("software"));
    assert_eq!(job(partition(ChangeKind::Request).state("stopped")), Some("instance"));
    assert_eq!(job(partition(ChangeKind::Request).state("destroyed")), Some("report"));
    assert_eq!(job(partition(ChangeKind::Connection)), Some("instance"));
    assert_eq!(job(Change::new(ChangeKind::Bang)), Some("instance"));
    assert_eq!(job(Change::new(ChangeKind::Other)), Some("instance"));
    for own in [ChangeKind::Report, ChangeKind::Free, ChangeKind::Format, ChangeKind::Rename] {
        assert_eq!(job(partition(own)), None, "the node would follow itself for ever");
    }
}

#[test]
fn many_quick_requests_are_each_done_at_once() {
    let mut schedule = settled();
    for now in (10_000..40_000).step_by(200).map(Duration::from_millis) {
        let starts = schedule.step(now, said(ChangeKind::Request));
        assert_eq!(text(&starts), ["instance: the Master says `request`"], "{now:?}");
        let end = now + Duration::from_millis(50);
        assert!(schedule.step(end, Input::Ended(Job::Instance, Ending::Done)).is_empty());
    }
}

#[test]
fn instances_that_change_each_other_for_ever_do_not_take_the_machine() {
    let mut schedule = settled();
    let (mut now, mut at_work) = (secs(10), Duration::ZERO);
    let long = secs(5);
    schedule.step(now, said(ChangeKind::Connection));
    while now < secs(2000) {
        // Each run changes what makes the next one necessary.
        schedule.step(now, said(ChangeKind::Connection));
        now += long;
        at_work += long;
        let mut starts = schedule.step(now, Input::Ended(Job::Instance, Ending::Done));
        while !starts.iter().any(|start| start.job == Job::Instance) {
            for start in starts {
                schedule.step(now, Input::Ended(start.job, Ending::Done));
            }
            now = schedule.wake().unwrap();
            starts = schedule.step(now, Input::Time);
        }
    }
    assert!((500..=620).contains(&at_work.as_secs()), "{at_work:?}");
}

#[test]
fn instances_are_looked_at_after_software_that_took_its_time() {
    let mut schedule = settled();
    schedule.step(secs(4), Input::Change(Change::new(ChangeKind::Supply)));
    let starts = schedule.step(secs(4), Input::Ended(Job::Software, Ending::Failed));
    assert_eq!(text(&starts), ["instance: software was looked at"]);
    schedule.step(secs(5), Input::Ended(Job::Instance, Ending::Done));
    // By time, it found nothing to do: no reason to look.
    let due = schedule.desks[&Job::Software].due;
    schedule.step(due, Input::Time);
    let starts = schedule.step(due, Input::Ended(Job::Software, Ending::Done));
    assert!(!text(&starts).contains(&"instance: software was looked at".to_owned()));
}

#[test]
fn who_meets_another_run_tries_again_soon() {
    let mut schedule = settled();
    let mut now = secs(4);
    schedule.step(now, said(ChangeKind::Request));
    let mut waits = Vec::new();
    for _ in 0..7 {
        assert!(schedule.step(now, Input::Ended(Job::Instance, Ending::Busy)).is_empty());
        let wake = schedule.wake().unwrap();
        waits.push((wake - now + SECOND / 2).as_secs());
        now = wake;
        let starts = schedule.step(now, Input::Time);
        assert!(starts.iter().any(|start| start.job == Job::Instance), "{starts:?}");
    }
    assert!(waits.windows(2).all(|pair| pair[0] <= pair[1] + 8), "{waits:?}");
    assert!((1..=3).contains(&waits[0]) && waits.iter().all(|wait| *wait <= 66), "{waits:?}");
}

#[test]
fn a_master_that_is_away_is_asked_less_and_less() {
    let mut schedule = Schedule::new(POLL, false, 3);
    let mut now = secs(2);
    let mut waits = Vec::new();
    schedule.step(now, Input::Time);
    for _ in 0..8 {
        schedule.step(now, Input::Ended(Job::Instance, Ending::Away));
        let due = schedule.desks[&Job::Instance].due;
        waits.push((due - now).as_secs());
        now = due;
        schedule.step(now, Input::Time);
        schedule.step(now, Input::Ended(Job::Format, Ending::Done));
        schedule.step(now, Input::Ended(Job::Report, Ending::Done));
    }
    assert!((54..=66).contains(&waits[0]), "{waits:?}");
    assert!(waits.iter().all(|wait| *wait <= 660), "{waits:?}");
    assert!(*waits.last().unwrap() >= 540, "{waits:?}");
    // Once it is back, nothing waits.
    schedule.step(now, Input::Ended(Job::Instance, Ending::Away));
    let starts = schedule.step(now, Input::Resync);
    assert!(text(&starts).contains(&"report: something may have been missed".to_owned()));
}

#[test]
fn a_day_without_news_has_the_runs_that_it_should() {
    let day = |source, seed| {
        let mut schedule = Schedule::new(POLL, false, seed);
        let mut runs: BTreeMap<Job, u32> = BTreeMap::new();
        let mut starts = schedule.step(secs(0), Input::Source(source));
        let mut now = secs(0);
        while now < 24 * HOUR {
            for start in std::mem::take(&mut starts) {
                *runs.entry(start.job).or_default() += 1;
                starts.extend(schedule.step(now, Input::Ended(start.job, Ending::Done)));
            }
            now = schedule.wake().unwrap().max(now);
            starts.extend(schedule.step(now, Input::Time));
        }
        runs
    };
    let told = day(Source::Told, 5);
    assert!((1380..=1500).contains(&told[&Job::Instance]), "{told:?}");
    assert!((138..=150).contains(&told[&Job::Software]), "{told:?}");
    assert!((23..=26).contains(&told[&Job::Report]), "{told:?}");
    assert!((23..=26).contains(&told[&Job::Format]), "{told:?}");
    let asked = day(Source::Asked, 5);
    assert!((1380..=1500).contains(&asked[&Job::Software]), "{asked:?}");
    assert_ne!(told, day(Source::Told, 6), "nodes do not all ask at one moment");
}

#[test]
fn a_machine_that_slept_does_everything_once() {
    let mut schedule = settled();
    let starts = schedule.step(secs(1_000_000), Input::Time);
    assert_eq!(text(&starts), ["format: it is time", "software: it is time", "report: it is time"]);
    for job in [Job::Format, Job::Software] {
        schedule.step(secs(1_000_001), Input::Ended(job, Ending::Done));
    }
    let starts = schedule.step(secs(1_000_001), Input::Ended(Job::Report, Ending::Done));
    assert_eq!(text(&starts), ["instance: software was looked at"]);
    assert!(schedule.step(secs(1_000_002), Input::Ended(Job::Instance, Ending::Done)).is_empty());
}

#[test]
fn addresses_come_back_before_instances_are_looked_at() {
    let mut schedule = Schedule::new(POLL, false, 2);
    assert_eq!(text(&schedule.step(secs(0), Input::Time)), ["format: it is time"]);
    // Whatever the Master says, and also where `node boot` is at it.
    schedule.step(secs(0), Input::Source(Source::Told));
    assert!(schedule.step(secs(1), said(ChangeKind::Request)).is_empty());
    assert!(schedule.step(secs(2), Input::Ended(Job::Format, Ending::Busy)).is_empty());
    let again = schedule.wake().unwrap();
    let starts = schedule.step(again, Input::Time);
    assert_eq!(text(&starts), ["format: another one was running when it was tried"]);
    // What a person has to mend is not waited for.
    let starts = schedule.step(again, Input::Ended(Job::Format, Ending::Failed));
    assert_eq!(text(&starts), ["software: it is time", "instance: it is time"]);
}

#[test]
fn what_instances_use_is_noted_once_a_minute_where_that_is_wanted() {
    let mut schedule = settled();
    let input = |collects| Input::Config { poll: POLL, collects };
    let first = text(&schedule.step(secs(4), input(true)));
    assert!(first.contains(&"collect: it is time".to_owned()), "{first:?}");
    schedule.step(secs(5), Input::Ended(Job::Collect, Ending::Done));
    let mut later = schedule.clone();
    let started = |schedule: &mut Schedule| text(&schedule.step(secs(90), Input::Time));
    assert!(started(&mut later).contains(&"collect: it is time".to_owned()));
    schedule.step(secs(6), input(false));
    assert!(!started(&mut schedule).contains(&"collect: it is time".to_owned()));
}

#[test]
fn a_node_that_is_down_is_left_alone() {
    let mut schedule = settled();
    schedule.step(secs(4), said(ChangeKind::Request));
    schedule.step(secs(4), said(ChangeKind::Request));
    assert!(schedule.step(secs(4), Input::Ended(Job::Instance, Ending::Down)).is_empty());
}

fn any_input() -> impl Strategy<Value = Input> {
    use ChangeKind::{Bang, Connection, Other, Report, Request, Supply};
    let kinds = prop::sample::select(vec![Request, Supply, Bang, Connection, Report, Other]);
    let change = (kinds, any::<bool>()).prop_map(|(kind, destroyed)| {
        let state = if destroyed { "destroyed" } else { "started" };
        Input::Change(Change::new(kind).state(state))
    });
    let sources = prop::sample::select(vec![Source::Away, Source::Told, Source::Asked]);
    prop_oneof![
        2 => Just(Input::Time),
        6 => change,
        1 => Just(Input::Resync),
        1 => sources.prop_map(Input::Source),
        1 => (1_u64..600, any::<bool>()).prop_map(|(poll, collects)| {
            Input::Config { poll: Duration::from_secs(poll), collects }
        }),
    ]
}

fn any_ending() -> impl Strategy<Value = Ending> {
    use Ending::{Away, Busy, Done, Down, Failed};
    prop::sample::select(vec![Done, Done, Done, Failed, Busy, Away, Down])
}

proptest! {
    /// Whatever happens: nothing runs twice or beside what it excludes, what is wanted comes, and
    /// words alone do not make more runs than they may.
    #[test]
    fn the_invariants_hold(
        seed in any::<u64>(),
        story in prop::collection::vec((0_u64..30_000, any_input(), any_ending(), any::<bool>()), 1..300),
    ) {
        let mut schedule = Schedule::new(POLL, false, seed);
        let mut now = Moment::ZERO;
        let mut running: Vec<Job> = Vec::new();
        let mut words: BTreeMap<Job, u32> = BTreeMap::new();
        for (later, input, ending, ends) in story {
            now += Duration::from_millis(later);
            let input = match running.pop() {
                Some(job) if ends => Input::Ended(job, ending),
                other => { running.extend(other); input }
            };
            for start in schedule.step(now, input) {
                prop_assert!(!running.contains(&start.job));
                prop_assert!(!running.iter().any(|other| start.job.excludes(*other)));
                running.push(start.job);
                if let Why::Said(_) = start.why {
                    *words.entry(start.job).or_default() += 1;
                }
            }
            let most = (BUDGET + now / SHARE).as_millis() / LEAST.as_millis() + 1;
            let few = words.values().all(|count| u128::from(*count) <= most);
            prop_assert!(few, "{words:?} in {now:?}");
            prop_assert!(schedule.wake().is_none_or(|wake| wake > now), "a busy loop");
        }
        // Left alone, everything runs within its interval.
        schedule.collects = true;
        let mut left: Vec<Job> = Job::ALL.to_vec();
        let end = now + 2 * HOUR;
        while let Some(job) = running.pop() {
            let starts = schedule.step(now, Input::Ended(job, Ending::Done));
            running.extend(starts.iter().map(|start| start.job));
            left.retain(|job| !running.contains(job));
            if running.is_empty() && !left.is_empty() {
                now = schedule.wake().unwrap();
                prop_assert!(now <= end, "{left:?} never run");
                running.extend(schedule.step(now, Input::Time).iter().map(|start| start.job));
                left.retain(|job| !running.contains(job));
            }
            if left.is_empty() { break; }
        }
    }
}
