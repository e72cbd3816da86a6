//! The rules of the machine, one by one.

use super::*;

const PID: u32 = 100;

fn policy() -> Policy {
    Policy {
        start_after: secs(1),
        retries: 3,
        restart: AutoRestart::Unexpected,
        expected: vec![0],
        stop_signal: Signal::SIGTERM,
        stop_wait: secs(10),
        stop_as_group: true,
        kill_as_group: true,
    }
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn running(policy: Policy) -> Machine {
    let mut machine = Machine::new(policy);
    machine.handle(Event::Start, secs(0));
    machine.handle(Event::Spawned(PID), secs(0));
    machine.handle(Event::Tick, secs(1));
    assert_eq!(machine.state(), State::Running);
    machine
}

#[test]
fn an_early_end_backs_off_ever_longer_and_then_gives_up() {
    let mut machine = Machine::new(policy());
    let mut now = secs(0);
    machine.handle(Event::Start, now);
    let mut waits = Vec::new();
    while machine.state() != State::Fatal {
        machine.handle(Event::Spawned(PID), now);
        machine.handle(Event::Exited(Exit::Code(1)), now);
        if let Some(deadline) = machine.deadline() {
            waits.push((deadline - now).as_secs());
            now = deadline;
            assert_eq!(machine.handle(Event::Tick, now).actions, [Action::Spawn]);
        }
    }
    assert_eq!(waits, [1, 2, 4]);
    assert_eq!(machine.error(), "exited too quickly (exit status 1)");
}

#[test]
fn a_process_that_ends_soon_after_its_start_is_restarted_later_and_later() {
    let mut always = policy();
    always.start_after = Duration::ZERO;
    always.restart = AutoRestart::Always;
    let mut machine = Machine::new(always);
    let mut now = secs(0);
    machine.handle(Event::Start, now);
    let mut waits = Vec::new();
    for _ in 0..8 {
        machine.handle(Event::Spawned(PID), now);
        machine.handle(Event::Exited(Exit::Code(0)), now);
        let deadline = machine.deadline().unwrap();
        waits.push((deadline - now).as_secs());
        now = deadline;
        machine.handle(Event::Tick, now);
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
}

#[test]
fn a_healthy_process_is_restarted_at_once() {
    let mut machine = running(policy());
    let step = machine.handle(Event::Exited(Exit::Signal(11)), secs(3600));
    assert_eq!(step.actions.last(), Some(&Action::Spawn));
    let path: Vec<_> = step.transitions.iter().map(|t| (t.from, t.to)).collect();
    assert_eq!(path, [(State::Running, State::Exited), (State::Exited, State::Starting)]);
}

#[test]
fn an_expected_end_is_left_alone_with_what_it_left_behind() {
    let mut machine = running(policy());
    let step = machine.handle(Event::Exited(Exit::Code(0)), secs(3600));
    assert_eq!(step.actions, []);
    assert_eq!(machine.state(), State::Exited);
    insta::assert_snapshot!(step.transitions[0].reason, @"exit status 0; expected");
}

#[test]
fn what_a_crash_leaves_of_its_group_is_killed() {
    let mut never = policy();
    never.restart = AutoRestart::Never;
    let mut machine = running(never);
    let step = machine.handle(Event::Exited(Exit::Code(1)), secs(3600));
    assert_eq!(step.actions, [kill_survivors()]);
    assert_eq!(machine.state(), State::Exited);
}

#[test]
fn a_stop_asks_then_kills_then_waits_for_the_survivors() {
    let mut machine = running(policy());
    let ask = Action::Signal { pid: PID, signal: Signal::SIGTERM, group: true };
    assert_eq!(machine.handle(Event::Stop, secs(20)).actions, [ask]);
    assert_eq!(machine.handle(Event::Tick, secs(29)).actions, []);
    assert_eq!(machine.handle(Event::Tick, secs(30)).actions, [kill(PID)]);
    let step = machine.handle(Event::Exited(Exit::Signal(9)), secs(31));
    assert_eq!(step.actions, [Action::Sweep]);
    assert_eq!(machine.state(), State::Stopping);
    let strays = Action::SignalSurvivors { signal: Signal::SIGTERM, strays_only: true };
    assert_eq!(machine.handle(Event::Survivors(true), secs(31)).actions, [strays]);
    assert_eq!(machine.handle(Event::Survivors(true), secs(31)).actions, []);
    assert_eq!(machine.handle(Event::Tick, secs(32)).actions, [kill_survivors()]);
    machine.handle(Event::Survivors(false), secs(33));
    assert_eq!(machine.state(), State::Stopped);
}

#[test]
fn a_stop_during_the_spawn_wins() {
    let mut machine = Machine::new(policy());
    machine.handle(Event::Start, secs(0));
    assert_eq!(machine.handle(Event::Stop, secs(0)).actions, []);
    assert_eq!(machine.state(), State::Stopping);
    let step = machine.handle(Event::Spawned(PID), secs(1));
    assert!(matches!(step.actions[..], [Action::Signal { pid: PID, .. }]));
    assert_eq!(machine.state(), State::Stopping);
}

#[test]
fn an_adopted_process_is_not_started_again() {
    let mut machine = Machine::new(policy());
    let age = secs(100);
    machine.handle(Event::Adopted { pid: PID, age }, secs(0));
    assert_eq!((machine.state(), machine.pid()), (State::Running, Some(PID)));
    assert_eq!(machine.handle(Event::Start, secs(1)).actions, []);
    let second = Event::Adopted { pid: 101, age };
    assert_eq!(machine.handle(second, secs(1)).actions, [kill(101)]);
}

#[test]
fn what_ended_unwatched_is_treated_as_if_it_had_been_seen() {
    let vanish = |state, restart| {
        let mut policy = policy();
        policy.restart = restart;
        let mut machine = Machine::new(policy);
        machine.handle(Event::Vanished(state), secs(0));
        machine.state()
    };
    assert_eq!(vanish(State::Running, AutoRestart::Always), State::Backoff);
    assert_eq!(vanish(State::Running, AutoRestart::Never), State::Exited);
    assert_eq!(vanish(State::Starting, AutoRestart::Never), State::Backoff);
    assert_eq!(vanish(State::Stopping, AutoRestart::Always), State::Stopping);
    assert_eq!(vanish(State::Exited, AutoRestart::Always), State::Stopped);
}
