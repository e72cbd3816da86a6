//! The order of work: what may run at once, what waits, and what happens when something fails.
//!
//! A step starts when the parts it refers to are done, and all earlier ones whose [`Turn`] is not
//! free. A part that must be alone has all earlier steps before it. With one job everything happens
//! on the calling thread, in the order of the plan.
//!
//! After a failure nothing more is started; where a run is to keep going, only what needs the failed
//! part, directly or not, is passed over, and each such part is told.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::mpsc;

use jobserver::Acquired;

use crate::build::{Outcome, Settings, kept};
use crate::context::RunState;
use crate::error::{BuildError, PartFailure};
use crate::event::{Action, Event};
use crate::initialise::Prepared;
use crate::part_run::{run_step, uninstall};
use crate::plan::{Plan, Step};
use crate::recipe::Turn;

/// A step that does something, and the part it is about.
struct Task<'p> {
    step: &'p Step,
    prepared: Option<Prepared>,
    turn: Turn,
}

/// Executes `plan`, then removes what is no longer wanted if all went well.
pub(crate) fn execute(
    run: &RunState<'_>,
    plan: &Plan,
    parts: Vec<Prepared>,
    settings: &Settings,
) -> Result<Outcome, BuildError> {
    let tasks = tasks(plan, parts);
    begin_trivial(run, &tasks)?;
    let mut outcome = kept(plan);
    let result = match &run.jobserver {
        Some(_) => in_parallel(run, tasks, settings, &mut outcome),
        None => one_by_one(run, tasks, settings.keep_going, &mut outcome),
    };
    let result = result.and_then(|()| remove_unwanted(run, plan, &mut outcome));
    let (unwanted, wanted) = plan.names();
    run.ledger.arrange(&wanted, &unwanted);
    run.ledger.save()?;
    result.map(|()| outcome)
}

fn tasks(plan: &Plan, parts: Vec<Prepared>) -> Vec<Task<'_>> {
    let parts = parts.into_iter();
    plan.steps
        .iter()
        .zip(parts)
        .filter(|(step, _)| matches!(step.action, Action::Install | Action::Update))
        .map(|(step, prepared)| Task {
            step,
            turn: prepared.part.as_ref().map_or(Turn::Free, |part| part.turn()),
            prepared: Some(prepared),
        })
        .collect()
}

/// Records, in one write for all, that trivial parts are about to be made: should the run be killed
/// before its last write, what they were made of is not known, whatever the record said before.
fn begin_trivial(run: &RunState<'_>, tasks: &[Task<'_>]) -> Result<(), BuildError> {
    for task in tasks.iter().filter(|task| task.step.action == Action::Install) {
        let Some(prepared) = &task.prepared else {
            continue;
        };
        let Some(part) = prepared.part.as_ref().filter(|part| part.is_trivial()) else {
            continue;
        };
        run.ledger.begin(&prepared.name, &prepared.fingerprint, part.claims());
    }
    Ok(run.ledger.save()?)
}

fn record(outcome: &mut Outcome, step: &Step) {
    match step.action {
        Action::Install => outcome.installed.push(step.part.clone()),
        Action::Update => outcome.updated.push(step.part.clone()),
        Action::Remove => outcome.removed.push(step.part.clone()),
        Action::Keep => outcome.kept.push(step.part.clone()),
    }
}

fn one_by_one(
    run: &RunState<'_>,
    tasks: Vec<Task<'_>>,
    keep_going: bool,
    outcome: &mut Outcome,
) -> Result<(), BuildError> {
    let mut schedule = Schedule::new(tasks);
    while let Some(index) = schedule.ready() {
        if run.cancellation.is_cancelled() {
            break;
        }
        schedule.started[index] = true;
        schedule.running += 1;
        let step = schedule.tasks[index].step;
        let result = match schedule.tasks[index].prepared.take() {
            Some(prepared) => run_step(run, step, prepared, run.live.snapshot()),
            None => Ok(()),
        };
        if result.is_ok() {
            record(outcome, step);
        }
        schedule.done(index, result);
        if !schedule.failed.is_empty() && !keep_going {
            break;
        }
        schedule.pass_over(run);
    }
    finish(run, schedule)
}

fn remove_unwanted(
    run: &RunState<'_>,
    plan: &Plan,
    outcome: &mut Outcome,
) -> Result<(), BuildError> {
    for step in plan.steps.iter().filter(|step| step.action == Action::Remove) {
        if run.cancellation.is_cancelled() {
            return Err(BuildError::Cancelled);
        }
        uninstall(run, step).map_err(|failure| failures(vec![*failure]))?;
        record(outcome, step);
    }
    Ok(())
}

/// Parts that were told to stop are no failures of their own; if there is nothing else, the run
/// was stopped.
fn failures(mut all: Vec<PartFailure>) -> BuildError {
    all.retain(|failure| !failure.cancelled);
    if all.is_empty() { BuildError::Cancelled } else { BuildError::Part(all) }
}

enum Message {
    Done(usize, Result<(), Box<PartFailure>>),
    Token(io::Result<Acquired>),
}

/// The scheduler's view of a parallel run.
struct Schedule<'p> {
    tasks: Vec<Task<'p>>,
    unfinished: HashSet<&'p str>,
    started: Vec<bool>,
    finished: Vec<bool>,
    running: usize,
    /// Jobs held besides the free one.
    tokens: Vec<Acquired>,
    failed: Vec<(usize, PartFailure)>,
    /// Parts that failed, and those that need one of them: the first such.
    lost: HashMap<&'p str, &'p str>,
}

impl<'p> Schedule<'p> {
    fn new(tasks: Vec<Task<'p>>) -> Self {
        Self {
            unfinished: tasks.iter().map(|task| task.step.part.as_str()).collect(),
            started: vec![false; tasks.len()],
            finished: vec![false; tasks.len()],
            running: 0,
            tokens: Vec::new(),
            failed: Vec::new(),
            lost: HashMap::new(),
            tasks,
        }
    }

    /// The first task that may start now.
    fn ready(&self) -> Option<usize> {
        for (index, task) in self.tasks.iter().enumerate() {
            let all_before_done = self.finished[..index].iter().all(|finished| *finished);
            if !self.started[index] {
                let referred = task.step.after.iter();
                let blocked = referred.into_iter().any(|p| self.unfinished.contains(p.as_str()));
                if !blocked && (task.turn != Turn::Alone || all_before_done) {
                    return Some(index);
                }
            }
            if task.turn != Turn::Free && !self.finished[index] {
                return None;
            }
        }
        None
    }

    fn has_job(&self) -> bool {
        self.running <= self.tokens.len()
    }

    fn done(&mut self, index: usize, result: Result<(), Box<PartFailure>>) {
        self.running -= 1;
        self.finished[index] = true;
        let part = self.tasks[index].step.part.as_str();
        match result {
            Ok(()) => drop(self.unfinished.remove(part)),
            // What needs it waits for ever.
            Err(failure) => {
                self.lost.insert(part, part);
                self.failed.push((index, *failure));
            }
        }
    }

    /// Gives up what needs a part that failed.
    fn pass_over(&mut self, run: &RunState<'_>) {
        if self.lost.is_empty() {
            return;
        }
        // What is passed over may be needed by an earlier one, so until nothing is found.
        let mut found = true;
        while std::mem::take(&mut found) {
            for index in 0..self.tasks.len() {
                let step = self.tasks[index].step;
                let mut needed = step.after.iter();
                let Some(failed) = needed.find_map(|part| self.lost.get(part.as_str()).copied())
                else {
                    continue;
                };
                if !self.started[index] {
                    (self.started[index], self.finished[index], found) = (true, true, true);
                    self.lost.insert(&step.part, failed);
                    let text = format!("passed over: it needs `{failed}`, which failed");
                    run.observer.event(&Event::Warning { part: Some(step.part.clone()), text });
                }
            }
        }
    }
}

fn in_parallel(
    run: &RunState<'_>,
    tasks: Vec<Task<'_>>,
    settings: &Settings,
    outcome: &mut Outcome,
) -> Result<(), BuildError> {
    let (sender, receiver) = mpsc::channel();
    let jobserver = run.jobserver.as_ref();
    let tokens = {
        let sender = sender.clone();
        let deliver = move |token| drop(sender.send(Message::Token(token)));
        jobserver.map(|jobserver| jobserver.tokens(deliver)).transpose()
    };
    let tokens = tokens.map_err(|source| BuildError::Io {
        what: "start the jobserver for",
        path: run.directory.to_owned(),
        source,
    })?;
    let mut schedule = Schedule::new(tasks);
    std::thread::scope(|scope| {
        let mut requested = 0;
        loop {
            if settings.keep_going {
                schedule.pass_over(run);
            }
            let given_up = !schedule.failed.is_empty() && !settings.keep_going;
            let stopping = given_up || run.cancellation.is_cancelled();
            while let Some(index) = schedule.ready().filter(|_| !stopping) {
                if schedule.running >= settings.jobs {
                    break;
                }
                if !schedule.has_job() {
                    if requested == 0
                        && let Some(tokens) = &tokens
                    {
                        tokens.request_token();
                        requested += 1;
                    }
                    break;
                }
                start(&mut schedule, index, run, scope, &sender);
            }
            // A job that no part uses belongs to the make processes of those that run.
            schedule.tokens.truncate(schedule.running.saturating_sub(1));
            if schedule.running == 0 {
                break;
            }
            match receiver.recv() {
                Ok(Message::Done(index, result)) => {
                    if result.is_ok() {
                        record(outcome, schedule.tasks[index].step);
                    }
                    schedule.done(index, result);
                }
                Ok(Message::Token(token)) => {
                    requested -= 1;
                    schedule.tokens.extend(token.ok());
                }
                Err(_) => break,
            }
        }
    });
    finish(run, schedule)
}

fn start<'scope, 'env: 'scope>(
    schedule: &mut Schedule<'env>,
    index: usize,
    run: &'env RunState<'env>,
    scope: &'scope std::thread::Scope<'scope, 'env>,
    sender: &mpsc::Sender<Message>,
) {
    schedule.started[index] = true;
    schedule.running += 1;
    let step = schedule.tasks[index].step;
    let prepared = schedule.tasks[index].prepared.take();
    let (sender, seen) = (sender.clone(), run.live.snapshot());
    scope.spawn(move || {
        let result = match prepared {
            Some(prepared) => run_step(run, step, prepared, seen),
            None => Ok(()),
        };
        // The receiver lives as long as any part runs.
        let _ = sender.send(Message::Done(index, result));
    });
}

fn finish(run: &RunState<'_>, mut schedule: Schedule<'_>) -> Result<(), BuildError> {
    schedule.failed.sort_by_key(|(index, _)| *index);
    let failed: Vec<PartFailure> =
        schedule.failed.into_iter().map(|(_, failure)| failure).collect();
    if !failed.is_empty() {
        return Err(failures(failed));
    }
    if run.cancellation.is_cancelled() && schedule.finished.iter().any(|finished| !finished) {
        return Err(BuildError::Cancelled);
    }
    Ok(())
}
