//! The machine against a small world of processes, with everything at random: when requests come,
//! how long a spawn takes, whether processes obey, how they end, what they leave behind.

use proptest::prelude::*;

use super::*;

/// What the world may do next.
#[derive(Clone, Copy, Debug)]
enum Move {
    Start,
    Stop,
    /// The spawn under way is answered; `bool`: it worked.
    AnswerSpawn(bool),
    /// The process ends by itself, leaving something behind or not.
    End(Exit, bool),
    /// The process takes note of the stop signal.
    Obey,
    /// The driver looks for survivors.
    Look,
    /// Time passes, in tenths of a second.
    Wait(u16),
}

fn any_move() -> impl Strategy<Value = Move> {
    let exit = prop_oneof![
        Just(Exit::Code(0)),
        Just(Exit::Code(1)),
        Just(Exit::Signal(6)),
        Just(Exit::Unknown)
    ];
    prop_oneof![
        2 => Just(Move::Start),
        2 => Just(Move::Stop),
        4 => any::<bool>().prop_map(Move::AnswerSpawn),
        2 => (exit, any::<bool>()).prop_map(|(exit, leaves)| Move::End(exit, leaves)),
        2 => Just(Move::Obey),
        2 => Just(Move::Look),
        4 => (0u16..400).prop_map(Move::Wait),
    ]
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let restart = prop_oneof![
        Just(AutoRestart::Always),
        Just(AutoRestart::Never),
        Just(AutoRestart::Unexpected)
    ];
    let numbers = (0u64..3, 0u32..4, 0u64..30);
    (restart, numbers, any::<(bool, bool)>()).prop_map(|(restart, numbers, groups)| Policy {
        start_after: Duration::from_secs(numbers.0),
        retries: numbers.1,
        restart,
        expected: vec![0],
        stop_signal: Signal::SIGTERM,
        stop_wait: Duration::from_secs(numbers.2),
        stop_as_group: groups.0,
        kill_as_group: groups.1,
    })
}

/// The processes, and what was asked of them.
struct World {
    machine: Machine,
    now: Moment,
    spawning: bool,
    live: Option<u32>,
    asked: bool,
    survivors: bool,
    /// Survivors were to be killed, and nobody has seen since that they are gone.
    condemned: bool,
    next_pid: u32,
    /// The last request was a stop.
    unwanted: bool,
    /// How many events the machine was told.
    events: u64,
}

impl World {
    fn new(policy: Policy) -> Self {
        Self {
            machine: Machine::new(policy),
            now: Duration::ZERO,
            spawning: false,
            live: None,
            asked: false,
            survivors: false,
            condemned: false,
            next_pid: 2,
            unwanted: true,
            events: 0,
        }
    }

    fn play(&mut self, step: Move) {
        match step {
            Move::Start => {
                // A start is not heard while a stop is under way.
                if self.machine.state().is_down() {
                    self.unwanted = false;
                }
                self.feed(Event::Start);
            }
            Move::Stop => {
                self.unwanted = true;
                self.feed(Event::Stop);
            }
            Move::AnswerSpawn(works) if self.spawning => {
                self.spawning = false;
                if works {
                    let pid = self.next_pid;
                    self.next_pid += 1;
                    self.live = Some(pid);
                    self.feed(Event::Spawned(pid));
                } else {
                    self.feed(Event::SpawnFailed("no memory".into()));
                }
            }
            Move::End(exit, leaves) => self.end(exit, leaves),
            Move::Obey if self.asked => self.end(Exit::Signal(15), false),
            Move::Look if self.machine.is_draining() => self.feed(Event::Survivors(self.survivors)),
            Move::Wait(tenths) => self.wait(Duration::from_millis(u64::from(tenths) * 100)),
            _ => {}
        }
    }

    fn end(&mut self, exit: Exit, leaves: bool) {
        if self.live.take().is_some() {
            self.asked = false;
            self.survivors = leaves;
            self.feed(Event::Exited(exit));
        }
    }

    /// Ticks exactly at the deadlines on the way, as the driver does.
    fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(deadline) = self.machine.deadline().filter(|at| *at <= until) {
            self.now = self.now.max(deadline);
            let before = self.machine.deadline();
            self.feed(Event::Tick);
            assert_ne!(self.machine.deadline(), before, "a tick at its deadline does nothing");
        }
        self.now = until;
    }

    fn feed(&mut self, event: Event) {
        let before = self.machine.state();
        self.events += 1;
        if event == Event::Survivors(false) {
            self.condemned = false;
        }
        let step = self.machine.handle(event, self.now);
        let mut state = before;
        for transition in &step.transitions {
            assert_eq!(transition.from, state, "transitions do not follow each other");
            state = transition.to;
            // Given up, which is only allowed on the way to rest.
            if transition.reason.contains("do not die") {
                assert!(state.is_down());
                self.condemned = false;
            }
        }
        assert_eq!(state, self.machine.state(), "a change of state was not told");
        for action in step.actions {
            self.act(action);
        }
        self.check();
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Spawn => {
                assert!(!self.unwanted, "a process was started after a stop");
                assert!(!self.spawning && self.live.is_none(), "a second process");
                assert!(!self.condemned, "started before what was left behind is gone");
                self.spawning = true;
            }
            Action::Signal { pid, signal, .. } => {
                assert_eq!(Some(pid), self.live, "a signal to somebody else");
                self.asked = true;
                if signal == Signal::SIGKILL {
                    self.end(Exit::Signal(9), self.survivors);
                }
            }
            Action::Sweep => assert!(self.live.is_none()),
            Action::SignalSurvivors { signal, .. } => {
                if signal == Signal::SIGKILL {
                    self.condemned = true;
                    self.survivors = false;
                }
            }
        }
    }

    fn check(&self) {
        let state = self.machine.state();
        assert_eq!(self.machine.pid(), self.live);
        if self.unwanted {
            let fine = state.is_down() || state == State::Stopping;
            assert!(fine, "{state:?} although it was to stop");
        }
        if state.is_down() {
            assert!(self.live.is_none() && !self.spawning);
            assert_eq!(self.machine.deadline(), None);
        }
    }

    /// Lets a stop run to its end: the kernel answers the spawn and `SIGKILL`, nobody else obeys.
    fn settle(&mut self) {
        self.play(Move::Stop);
        self.play(Move::AnswerSpawn(true));
        let limit = self.machine.policy.stop_wait + Duration::from_secs(20);
        self.wait(limit);
        self.play(Move::Look);
        assert!(self.machine.state().is_down(), "STOPPING did not end");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn the_rules_hold_whatever_happens(
        policy in any_policy(),
        moves in proptest::collection::vec(any_move(), 0..120),
    ) {
        let mut world = World::new(policy);
        for step in moves {
            world.play(step);
        }
        world.settle();
    }

    #[test]
    fn after_adoption_there_is_no_second_spawn_while_it_lives(
        policy in any_policy(),
        age in 0u64..100,
        moves in proptest::collection::vec(any_move(), 0..60),
    ) {
        let mut world = World::new(policy);
        world.live = Some(1000);
        world.unwanted = false;
        world.feed(Event::Adopted { pid: 1000, age: Duration::from_secs(age) });
        for step in moves {
            world.play(step);
        }
        world.settle();
    }
}

/// A generator that gives the same numbers in each run, quick enough for millions.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn next_move(&mut self) -> Move {
        let exit = match self.below(4) {
            0 => Exit::Code(0),
            1 => Exit::Code(1),
            2 => Exit::Signal(6),
            _ => Exit::Unknown,
        };
        match self.below(18) {
            0..2 => Move::Start,
            2..4 => Move::Stop,
            4..8 => Move::AnswerSpawn(self.below(4) > 0),
            8..10 => Move::End(exit, self.below(2) > 0),
            10..12 => Move::Obey,
            12..14 => Move::Look,
            _ => Move::Wait(u16::try_from(self.below(400)).unwrap_or(0)),
        }
    }

    fn policy(&mut self) -> Policy {
        let restart = match self.below(3) {
            0 => AutoRestart::Always,
            1 => AutoRestart::Never,
            _ => AutoRestart::Unexpected,
        };
        Policy {
            start_after: Duration::from_secs(self.below(3)),
            retries: u32::try_from(self.below(4)).unwrap_or(0),
            restart,
            expected: vec![0],
            stop_signal: Signal::SIGTERM,
            stop_wait: Duration::from_secs(self.below(30)),
            stop_as_group: self.below(2) > 0,
            kill_as_group: self.below(2) > 0,
        }
    }
}

/// Plays until so many events were handled, in worlds of a thousand moves each, every second of
/// which begins with a process found running. Returns how many of each state were entered.
fn play_long(events: u64) -> std::collections::BTreeMap<&'static str, u64> {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut entered = std::collections::BTreeMap::new();
    let mut handled = 0;
    while handled < events {
        let mut world = World::new(dice.policy());
        if dice.below(2) > 0 {
            world.live = Some(1000);
            world.unwanted = false;
            world.feed(Event::Adopted { pid: 1000, age: Duration::from_secs(dice.below(100)) });
        }
        for _ in 0..1000 {
            let before = world.machine.state();
            world.play(dice.next_move());
            if world.machine.state() != before {
                *entered.entry(world.machine.state().name()).or_default() += 1;
            }
        }
        world.settle();
        handled += world.events;
    }
    println!("simulated {handled} events of the state machine; states entered: {entered:?}");
    entered
}

/// Two million; fifty with `SLAPOS_FAULTS=all`, which takes a minute.
#[test]
fn the_rules_hold_for_millions_of_events() {
    let all = std::env::var_os("SLAPOS_FAULTS").is_some_and(|value| value == "all");
    let entered = play_long(if all { 50_000_000 } else { 2_000_000 });
    assert_eq!(entered.len(), 7, "every state is reached: {entered:?}");
}
