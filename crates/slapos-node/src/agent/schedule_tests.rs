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

/// What to do as text, such as `instance: it is time`.
fn text(acts: &[Act]) -> Vec<String> {
    let words = |act: &Act| match act {
        Act::Start(job, why) => format!("{}: {why}", job.word()),
        Act::Hint => "hint".to_owned(),
    };
    acts.iter().map(words).collect()
}

/// The commands that start.
fn started(acts: &[Act]) -> Vec<Job> {
    let job = |act: &Act| match act {
        Act::Start(job, _) => Some(*job),
        Act::Hint => None,
    };
    acts.iter().filter_map(job).collect()
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
        assert_eq!(text(&schedule.step(secs(4), said(ChangeKind::Bang))), ["hint"]);
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
        let ended = Input::Ended(Job::Instance, Ending::Done);
        let mut starts = started(&schedule.step(now, ended));
        while !starts.contains(&Job::Instance) {
            for job in starts {
                schedule.step(now, Input::Ended(job, Ending::Done));
            }
            now = schedule.wake().unwrap();
            starts = started(&schedule.step(now, Input::Time));
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
        assert!(started(&starts).contains(&Job::Instance), "{starts:?}");
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
        let mut starts = started(&schedule.step(secs(0), Input::Source(source)));
        let mut now = secs(0);
        while now < 24 * HOUR {
            for job in std::mem::take(&mut starts) {
                *runs.entry(job).or_default() += 1;
                starts.extend(started(&schedule.step(now, Input::Ended(job, Ending::Done))));
            }
            now = schedule.wake().unwrap().max(now);
            starts.extend(started(&schedule.step(now, Input::Time)));
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

#[test]
fn a_run_that_is_under_way_hears_of_all_that_concerns_instances() {
    let mut schedule = settled();
    schedule.step(secs(4), Input::Change(Change::new(ChangeKind::Supply)));
    let due = schedule.desks[&Job::Instance].due;
    assert_eq!(text(&schedule.step(due, Input::Time)), ["instance: it is time"]);
    assert!(schedule.step(due, Input::Time).is_empty(), "of nothing else");
    assert!(schedule.step(due, said(ChangeKind::Report)).is_empty());
    let built = schedule.step(due + SECOND, Input::Ended(Job::Software, Ending::Done));
    assert_eq!(text(&built), ["hint"]);
    assert_eq!(text(&schedule.step(due + SECOND, said(ChangeKind::Request))), ["hint"]);
    // It may have been too late for it.
    let next = schedule.step(due + SECOND * 2, Input::Ended(Job::Instance, Ending::Done));
    assert_eq!(text(&next), ["instance: software was looked at"]);
}

#[test]
fn a_run_that_goes_on_and_on_for_what_is_said_hears_no_more() {
    let mut schedule = settled();
    let start = schedule.desks[&Job::Instance].due;
    assert_eq!(text(&schedule.step(start, Input::Time)), ["instance: it is time"]);
    let hints = |schedule: &mut Schedule, from: u64, to: u64| {
        let heard = |second| schedule.step(start + secs(second), said(ChangeKind::Connection));
        (from..to).map(heard).filter(|acts| acts.contains(&Act::Hint)).count()
    };
    // Each second costs one, of which a quarter is forgotten.
    assert_eq!(hints(&mut schedule, 100, 180), 80);
    let later = hints(&mut schedule, 180, 580);
    assert!((90..120).contains(&later), "{later} in 400 s");
    // A run that takes long for other reasons keeps nothing waiting that is said once in a while.
    assert_eq!(hints(&mut schedule, 640, 641), 1);
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
            for act in schedule.step(now, input) {
                let Act::Start(job, why) = act else {
                    prop_assert!(running.contains(&Job::Instance), "nobody hears");
                    prop_assert!(schedule.desks[&Job::Instance].wanted.is_some(), "only a hint");
                    continue;
                };
                prop_assert!(!running.contains(&job));
                prop_assert!(!running.iter().any(|other| job.excludes(*other)));
                running.push(job);
                if let Why::Said(_) = why {
                    *words.entry(job).or_default() += 1;
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
            running.extend(started(&starts));
            left.retain(|job| !running.contains(job));
            if running.is_empty() && !left.is_empty() {
                now = schedule.wake().unwrap();
                prop_assert!(now <= end, "{left:?} never run");
                running.extend(started(&schedule.step(now, Input::Time)));
                left.retain(|job| !running.contains(job));
            }
            if left.is_empty() { break; }
        }
    }
}
