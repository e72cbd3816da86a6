//! What workers do: their end of the pipes. Reads jobs from standard input until there are none, and
//! knows each room whose work is done as another user; the [`worker`](crate::worker) knows none.

mod build;
mod deploy;
mod farewell;
mod keeper;
mod log;
mod marks;
mod netrc;
mod pack;

use std::io::{Stdin, Stdout, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use indexmap::IndexMap;
use slapos_engine::{Cancellation, Event, Observer};
use slapos_slap::{InstanceAnswer, InstanceRequest, RequestError};
use slapos_sys::{fs, process};

use crate::format::RESOURCE_FILE;
use crate::generation::content;
use crate::promise::{Checked, Limits, Wanted, check_all};
use crate::worker::{
    Done, Failure, GenerationJob, Job, Message, PromiseJob, RemoveJob, Reply, SURVIVED,
};
use crate::{prune, usage};

/// How long the ending of what runs may take.
const LAST_DEEDS: Duration = Duration::from_secs(7);
/// How long what was killed may take to be gone.
const LAST_LOOK: Duration = Duration::from_secs(2);
/// What cannot be while both ends are the same program.
const MISPLACED: &str = "the node answered another question than was asked";

/// The pipes to the node. One lock for both, held from a question to its answer.
struct Channel(Mutex<(Stdin, Stdout)>);

impl Channel {
    /// Says something that needs no answer.
    fn tell(&self, message: &Message) -> std::io::Result<()> {
        let mut pipes = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        write_line(&mut pipes.1, message)
    }

    /// Asks the node to publish connection parameters, perhaps those of a shared instance.
    pub(super) fn publish(
        &self,
        shared: Option<&str>,
        connection: &IndexMap<String, String>,
    ) -> Result<(), String> {
        let (shared, connection) = (shared.map(str::to_owned), connection.clone());
        match self.ask(&Message::Publish { connection, shared })? {
            Reply::Publish { refused } => refused.map_or(Ok(()), Err),
            Reply::Request { .. } => Err(MISPLACED.to_owned()),
        }
    }

    /// Asks the node to ask the Master for an instance.
    pub(super) fn request(
        &self,
        request: &InstanceRequest,
    ) -> Result<Option<InstanceAnswer>, RequestError> {
        let question = Message::Request { request: Box::new(request.clone()) };
        match self.ask(&question).map_err(RequestError::Unanswered)? {
            Reply::Request { outcome } => Ok(outcome?.map(|answer| *answer)),
            Reply::Publish { .. } => Err(RequestError::Unanswered(MISPLACED.to_owned())),
        }
    }

    fn ask(&self, question: &Message) -> Result<Reply, String> {
        let mut pipes = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        write_line(&mut pipes.1, question).map_err(|error| error.to_string())?;
        let mut line = String::new();
        pipes.0.read_line(&mut line).map_err(|error| error.to_string())?;
        serde_json::from_str(&line).map_err(|error| error.to_string())
    }
}

impl Observer for Channel {
    fn event(&self, event: &Event) {
        // What cannot be told is not missed; the result that cannot be ends this process.
        let _ = self.tell(&Message::Event { what: event.clone() });
    }
}

fn write_line(output: &mut Stdout, message: &Message) -> std::io::Result<()> {
    let mut text = serde_json::to_string(message)?;
    text.push('\n');
    output.write_all(text.as_bytes())?;
    output.flush()
}

/// What the hidden command `slapos worker` does. Returns when the node has no more jobs.
pub fn serve() -> std::io::Result<()> {
    slapos_sys::process::forbid_inspection()?;
    // What changes its session or loses its parent stays ours, and can be ended.
    slapos_sys::process::set_child_subreaper()?;
    let cancellation = Cancellation::new();
    let busy = Arc::new(AtomicBool::new(false));
    end_when_asked(&cancellation, &busy)?;
    let channel = Arc::new(Channel(Mutex::new((std::io::stdin(), std::io::stdout()))));
    loop {
        let mut line = String::new();
        let read = {
            let pipes = channel.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            pipes.0.read_line(&mut line)?
        };
        if read == 0 {
            return Ok(());
        }
        busy.store(true, Ordering::SeqCst);
        let result = match serde_json::from_str(&line) {
            Ok(job) => work_alone(job, &channel, &cancellation),
            Err(error) => (Err(Failure::new(format!("the job is not understood: {error}"))), false),
        };
        busy.store(false, Ordering::SeqCst);
        if cancellation.is_cancelled() {
            std::process::exit(end_what_is_left());
        }
        let (result, survives) = result;
        channel.tell(&match result {
            Ok(done) => Message::Done { done },
            Err(failure) => Message::Failed { failure },
        })?;
        if survives {
            std::process::exit(SURVIVED);
        }
    }
}

/// The node asks, or is gone: what runs is ended first, so that no command of a recipe goes on
/// writing where the next run will build.
fn end_when_asked(cancellation: &Cancellation, busy: &Arc<AtomicBool>) -> std::io::Result<()> {
    let (cancellation, busy) = (cancellation.clone(), Arc::clone(busy));
    process::on_signals(&process::TERMINATION, move |_| {
        if !busy.load(Ordering::SeqCst) {
            std::process::exit(0);
        }
        cancellation.cancel();
        // Something that cannot be ended must not keep this process either.
        std::thread::sleep(LAST_DEEDS);
        std::process::exit(end_what_is_left().max(1));
    })
}

/// Also what has left the process groups that were told. What survives even this is the node's to end:
/// it is told so by the exit code that this returns.
fn end_what_is_left() -> i32 {
    match process::kill_descendants(std::process::id(), LAST_LOOK) {
        Ok(_) => 0,
        Err(_) => SURVIVED,
    }
}

/// What a job leaves running comes to this process, and ends with the job; but daemons that the
/// making of an instance or of a Software Release has started are there to stay. Also returns whether
/// something could not be ended.
fn work_alone(
    job: Job,
    channel: &Arc<Channel>,
    cancellation: &Cancellation,
) -> (Result<Done, Failure>, bool) {
    if matches!(job, Job::Software(_) | Job::Instance(_)) {
        return (work(job, channel, cancellation), false);
    }
    let own = std::process::id();
    let before = process::descendants(own);
    let result = work(job, channel, cancellation);
    match process::kill_descendants_since(own, &before, LAST_LOOK) {
        Ok(_) => (result, false),
        Err(error) => {
            let why = Failure::new(format!("what it started cannot be ended: {error}"));
            (result.and(Err(why)), true)
        }
    }
}

fn work(job: Job, channel: &Arc<Channel>, cancellation: &Cancellation) -> Result<Done, Failure> {
    match job {
        Job::Software(job) => build::build(&job, channel, cancellation),
        Job::Instance(job) => deploy::deploy(*job, channel, cancellation),
        Job::Promises(job) => promises(&job, cancellation),
        Job::Generation(job) => generation(&job),
        Job::Mark(job) => marks::mark(&job),
        Job::Inspect(job) => farewell::inspect(&job),
        Job::Destroy(job) => farewell::destroy(&job),
        Job::Tidy(job) => farewell::tidy(&job),
        Job::Usage(job) => usage::work(&job),
        Job::Remove(job) => remove(&job),
        Job::Pack(job) => pack::pack(&job),
        Job::Mentions(job) => prune::mentions(&job),
        Job::Prune(job) => prune::prune(job),
    }
}

fn promises(job: &PromiseJob, cancellation: &Cancellation) -> Result<Done, Failure> {
    let wanted = Wanted {
        directory: &job.directory,
        software: job.software_directory.as_deref(),
        mode: job.mode,
        force: job.force,
        limits: Limits {
            timeout: Duration::try_from_secs_f64(job.timeout).unwrap_or_default(),
            grace: Duration::try_from_secs_f64(job.grace).unwrap_or_default(),
        },
        config: &job.config,
        cancellation,
    };
    let words =
        |error: std::io::Error| Failure::io("check the promises of", &job.directory, &error);
    let Checked { results, skipped, warnings, due } = check_all(&wanted).map_err(words)?;
    Ok(Done::Promises { results, skipped, warnings, due })
}

fn generation(job: &GenerationJob) -> Result<Done, Failure> {
    match job {
        GenerationJob::Capture { directory, number, known, kept } => {
            let digest = content::capture(directory, *number, known.as_deref(), kept)?;
            Ok(Done::Captured { digest })
        }
        GenerationJob::Restore { directory, number, in_place } => {
            let lost = content::restore(directory, *number, *in_place)?;
            Ok(Done::Restored { services: deploy::services(directory)?, lost })
        }
        GenerationJob::Differences { directory, from, to } => {
            Ok(Done::Differences { text: content::differences(directory, *from, *to)? })
        }
    }
}

fn remove(job: &RemoveJob) -> Result<Done, Failure> {
    let words = |error: std::io::Error| Failure::io("remove", &job.directory, &error);
    if job.end_processes {
        // Never as root, who would end the machine; the node sees to it that no worker is.
        let ended = process::kill_all_of_this_user();
        ended.map_err(|error| Failure::io("end the processes of", &job.directory, &error))?;
    }
    build::forget_completion(&job.directory)?;
    if !job.keep_directory {
        fs::remove_tree(&job.directory).map_err(words)?;
        return Ok(Done::Removed);
    }
    let entries = match std::fs::read_dir(&job.directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Done::Removed),
        Err(error) => return Err(words(error)),
    };
    for entry in entries {
        let entry = entry.map_err(words)?;
        // What `node format` says of the place holds for the next instance, too.
        if entry.file_name() != RESOURCE_FILE {
            fs::remove_tree(&entry.path()).map_err(words)?;
        }
    }
    Ok(Done::Removed)
}

impl Failure {
    /// A failure that reads `message`.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), detail: None, hint: None }
    }

    /// The operating system refused to `what` (a verb) `path`.
    pub(crate) fn io(what: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::new(format!("cannot {what} {}: {error}", path.display()))
    }

    /// Says what to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<slapos_engine::BuildError> for Failure {
    fn from(error: slapos_engine::BuildError) -> Self {
        match error {
            slapos_engine::BuildError::Profile(error) => error.into(),
            slapos_engine::BuildError::Part(failures) => {
                let own: Vec<_> = failures.iter().filter(|failure| !failure.cancelled).collect();
                if let [one] = own.as_slice() {
                    let text = one.to_string();
                    let (message, detail) = text.split_once('\n').unwrap_or((&text, ""));
                    return Self { detail: Some(detail.to_owned()), ..Self::new(message) };
                }
                let names: Vec<_> = own.iter().map(|failure| failure.part.as_str()).collect();
                let detail: Vec<_> = own.iter().map(ToString::to_string).collect();
                let message = format!("parts {} failed", names.join(", "));
                Self { detail: Some(detail.join("\n")), ..Self::new(message) }
            }
            other => Self::new(other.to_string()),
        }
    }
}

impl From<slapos_profile::ProfileError> for Failure {
    fn from(error: slapos_profile::ProfileError) -> Self {
        Self { message: error.to_string(), detail: Some(error.render(false)), hint: None }
    }
}

impl From<slapos_profile::LocationError> for Failure {
    fn from(error: slapos_profile::LocationError) -> Self {
        Self::new(error.to_string())
    }
}
