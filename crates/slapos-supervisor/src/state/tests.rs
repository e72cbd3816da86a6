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
        machine.handle(Event::Survivors(false), now);
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
        machine.handle(Event::Survivors(false), now);
        let deadline = machine.deadline().unwrap();
        waits.push((deadline - now).as_secs());
        now = deadline;
        machine.handle(Event::Tick, now);
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
}

#[test]
fn a_healthy_process_is_restarted_at_once() {
    let mut alone = policy();
    alone.kill_as_group = false;
    let mut machine = running(alone);
    let step = machine.handle(Event::Exited(Exit::Signal(11)), secs(3600));
    assert_eq!(step.actions, [Action::Spawn]);
    let path: Vec<_> = step.transitions.iter().map(|t| (t.from, t.to)).collect();
    assert_eq!(path, [(State::Running, State::Exited), (State::Exited, State::Starting)]);
}

#[test]
fn what_a_crash_leaves_is_gone_before_the_next_start() {
    let mut machine = running(policy());
    let step = machine.handle(Event::Exited(Exit::Signal(11)), secs(3600));
    assert_eq!(step.actions, [kill_survivors(), Action::Sweep]);
    assert_eq!(machine.state(), State::Backoff);
    assert!(machine.is_draining());
    assert_eq!(machine.handle(Event::Survivors(true), secs(3600)).actions, []);
    // It hangs in the kernel: it is killed again, and waited for without end.
    for time in (3602..3700).step_by(2) {
        assert_eq!(machine.deadline(), Some(secs(time)));
        assert_eq!(machine.handle(Event::Tick, secs(time)).actions, [kill_survivors()]);
    }
    let step = machine.handle(Event::Survivors(false), secs(3700));
    assert_eq!(step.actions, [Action::Spawn]);
    assert_eq!(machine.state(), State::Starting);
}

#[test]
fn the_wait_for_leftovers_counts_as_part_of_the_backoff() {
    let mut machine = Machine::new(policy());
    machine.handle(Event::Start, secs(0));
    machine.handle(Event::Spawned(PID), secs(0));
    machine.handle(Event::Exited(Exit::Code(1)), secs(0));
    assert_eq!(machine.error(), "exited too quickly (exit status 1)");
    assert_eq!(machine.handle(Event::Survivors(false), secs(0)).actions, []);
    assert_eq!(machine.deadline(), Some(secs(1)));
    assert_eq!(machine.error(), "exited too quickly (exit status 1)");
}

#[test]
fn a_stop_while_leftovers_are_killed_wins_and_ends() {
    let mut machine = running(policy());
    machine.handle(Event::Exited(Exit::Code(1)), secs(2));
    machine.handle(Event::Stop, secs(2));
    assert_eq!((machine.state(), machine.is_draining()), (State::Stopping, true));
    let mut again = machine.clone();
    assert_eq!(machine.handle(Event::Survivors(false), secs(3)).actions, []);
    assert_eq!(machine.state(), State::Stopped);
    for _ in 0..3 {
        again.handle(Event::Tick, again.deadline().unwrap());
    }
    assert_eq!(again.state(), State::Stopped, "given up");
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
    assert_eq!(step.actions, [kill_survivors(), Action::Sweep]);
    // It is not at rest yet: nobody may start, change or forget it.
    assert_eq!(machine.state(), State::Stopping);
    assert_eq!(machine.handle(Event::Start, secs(3600)).actions, []);
    let step = machine.handle(Event::Survivors(false), secs(3600));
    assert_eq!((step.actions, machine.state()), (vec![], State::Exited));
    let mut fatal = policy();
    fatal.retries = 0;
    let mut machine = Machine::new(fatal);
    machine.handle(Event::Start, secs(0));
    machine.handle(Event::Spawned(PID), secs(0));
    machine.handle(Event::Exited(Exit::Code(1)), secs(0));
    for _ in 0..3 {
        assert_eq!(machine.state(), State::Stopping);
        machine.handle(Event::Tick, machine.deadline().unwrap());
    }
    assert_eq!(machine.state(), State::Fatal);
    assert_eq!(machine.error(), "exited too quickly (exit status 1)");
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
        let step = machine.handle(Event::Vanished(state), secs(0));
        // Whether the former daemon came to kill what was left behind is not known.
        let ended = !matches!(state, State::Stopping | State::Stopped);
        assert_eq!(step.actions.contains(&kill_survivors()), ended);
        if ended {
            machine.handle(Event::Survivors(false), secs(0));
        }
        machine.state()
    };
    assert_eq!(vanish(State::Running, AutoRestart::Always), State::Backoff);
    assert_eq!(vanish(State::Running, AutoRestart::Never), State::Exited);
    assert_eq!(vanish(State::Starting, AutoRestart::Never), State::Backoff);
    assert_eq!(vanish(State::Backoff, AutoRestart::Never), State::Backoff);
    assert_eq!(vanish(State::Stopping, AutoRestart::Always), State::Stopping);
    assert_eq!(vanish(State::Exited, AutoRestart::Always), State::Exited);
    assert_eq!(vanish(State::Fatal, AutoRestart::Always), State::Fatal);
    assert_eq!(vanish(State::Stopped, AutoRestart::Always), State::Stopped);
}
