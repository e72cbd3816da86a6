//! Where schemas are read and judged by: in a child of this program, which can be killed.
//!
//! Whoever asks for an instance chooses the schema, and may have made it to take for ever, all
//! memory, or a deeper stack than there is. No thread can be stopped; a process can. So each
//! judgement has one of its own, with so much processor time and memory, and each reading of the
//! network, at a bench of its own, because those who judge shall not wait for those who read.
//! Invariants: it is killed when its time is over, when nobody waits for its answer any more, when the
//! Master ends, and by the kernel when the Master dies; at a bench there are never more than [`PLACES`],
//! and one project does not have them all; that a schema is not judged by for want of a place or of a
//! process never passes for a judgement. It knows nothing of the Master but the one request: no token,
//! no database, no descriptor. Starting it costs some milliseconds, which only requests pay that are new
//! or changed, and differ from those judged before ([`super::library`]).

use std::collections::HashMap;
use std::io::{self, Read as _, Write as _};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use serde::de::DeserializeOwned;
use slapos_sys::process::{Command, Offspring, Piped, Resource, Signal, kill};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe;
use tokio::sync::{AcquireError, Semaphore, watch};

use super::job::Job;

/// How long it may be waited for a place; then who asks is told to come again.
const WAIT: Duration = Duration::from_secs(20);

/// How long a judgement may take that has begun; then the schema counts as one that cannot be read.
const PATIENCE: Duration = Duration::from_secs(20);

/// How many schemas are read, or judged by, at a time and bench.
const PLACES: usize = 4;

/// And how many of those of one project.
const OF_ONE: usize = 3;

/// Processor time of a judgement, in seconds.
const SECONDS: u64 = 5;

/// Memory of a judgement, in bytes.
const MEMORY: u64 = 256 << 20;

/// The longest answer, in bytes.
const LONGEST: u64 = 16 << 20;

/// What says where the authorities of the network are.
const TRUST: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// Does the job on the standard input, and writes the answer to the standard output, as its last
/// line: what a Master started this program again for.
///
/// # Errors
/// When there is no job, or nobody to answer to.
pub fn judge() -> io::Result<()> {
    let mut text = Vec::new();
    io::stdin().lock().read_to_end(&mut text)?;
    let job: Job = serde_json::from_slice(&text)?;
    let mut out = io::stdout().lock();
    write!(out, "\n{}", job.done()?)?;
    out.flush()
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// It began, and took too long, or too much of the machine.
    TooMuch,
    /// It did not begin: all places are taken, or the machine starts no process.
    Busy,
    /// The Master ends.
    Ending,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Bench {
    /// With which words this program is started as a judge.
    words: &'static [&'static str],
    /// How long it may be waited for a place.
    wait: Duration,
    places: Semaphore,
    /// What those of each project share that have one, or wait.
    projects: Mutex<HashMap<String, Weak<Semaphore>>>,
    ending: watch::Sender<bool>,
}

impl Bench {
    pub(super) fn new(words: &'static [&'static str]) -> Bench {
        let (places, projects) = (Semaphore::new(PLACES), Mutex::default());
        Bench { words, wait: WAIT, places, projects, ending: watch::Sender::new(false) }
    }

    /// Ends all judgements, for good.
    pub(super) fn dismiss(&self) {
        self.ending.send_replace(true);
    }

    /// Has a job done.
    ///
    /// # Errors
    /// When it does not begin within [`WAIT`], or then comes to no answer within [`PATIENCE`].
    pub(super) async fn ask<T: DeserializeOwned>(&self, job: &Job) -> Result<T, Unanswered> {
        self.ask_noting(job, || ()).await
    }

    /// The same, and notes when it begins.
    pub(super) async fn ask_noting<T: DeserializeOwned>(
        &self,
        job: &Job,
        begun: impl FnOnce() + Send,
    ) -> Result<T, Unanswered> {
        let mut ending = self.ending.subscribe();
        tokio::select! {
            biased;
            _ = ending.wait_for(|ending| *ending) => Err(Unanswered::Ending),
            answer = self.answer(job, begun) => answer,
        }
    }

    fn of_project(&self, project: &str) -> Arc<Semaphore> {
        // Nothing that can panic is done under the lock.
        let mut projects = self.projects.lock().unwrap_or_else(PoisonError::into_inner);
        projects.retain(|_, places| places.strong_count() > 0);
        if let Some(places) = projects.get(project).and_then(Weak::upgrade) {
            return places;
        }
        let places = Arc::new(Semaphore::new(OF_ONE));
        projects.insert(project.to_owned(), Arc::downgrade(&places));
        places
    }

    async fn answer<T: DeserializeOwned>(
        &self,
        job: &Job,
        begun: impl FnOnce() + Send,
    ) -> Result<T, Unanswered> {
        let of_project = self.of_project(&job.project);
        let places = async {
            let own = of_project.acquire().await?;
            Ok::<_, AcquireError>((own, self.places.acquire().await?))
        };
        let Ok(Ok(_places)) = tokio::time::timeout(self.wait, places).await else {
            return Err(Unanswered::Busy);
        };
        let (_judge, to, from) = Judge::start(self.words).map_err(|error| {
            tracing::warn!("no process can be started that judges by a schema: {error}");
            Unanswered::Busy
        })?;
        begun();
        let said = async { hear(to, from, &serde_json::to_vec(job)?).await };
        match tokio::time::timeout(PATIENCE, said).await {
            // One that was ended said nothing, or half of it.
            Ok(Ok(said)) => {
                serde_json::from_slice(last_line(&said)).map_err(|_| Unanswered::TooMuch)
            }
            Ok(Err(error)) => {
                tracing::warn!("a schema is not judged by: {error}");
                Err(Unanswered::TooMuch)
            }
            Err(_) => Err(Unanswered::TooMuch),
        }
    }
}

/// What follows the last end of a line.
fn last_line(text: &[u8]) -> &[u8] {
    text.rsplit(|byte| *byte == b'\n').next().unwrap_or_default()
}

/// One child; killed when it is not needed any more.
struct Judge(Option<Offspring>);

impl Judge {
    /// Also returns what it is told by, and what it is heard by.
    fn start(words: &[&str]) -> io::Result<(Judge, pipe::Sender, pipe::Receiver)> {
        let mut command = Command::current_exe();
        command.arg0("slapos").args(words).inherit_env(&TRUST).current_dir("/");
        command.no_new_privileges().die_with_parent().open_files(64, 64);
        for (resource, most) in [
            (Resource::RLIMIT_CPU, SECONDS),
            (Resource::RLIMIT_DATA, MEMORY),
            (Resource::RLIMIT_CORE, 0),
            (Resource::RLIMIT_FSIZE, 0),
        ] {
            command.limit(resource, most, most);
        }
        let piped = Piped { input: true, output: true, errors: false };
        let mut judge = Judge(Some(command.spawn_apart(piped)?));
        let pipes = judge.0.as_mut().and_then(|child| child.input.take().zip(child.output.take()));
        let (to, from) = pipes.ok_or(io::ErrorKind::BrokenPipe)?;
        Ok((judge, pipe::Sender::from_owned_fd(to)?, pipe::Receiver::from_owned_fd(from)?))
    }
}

/// Tells a judge all, and hears what it says until it ends.
async fn hear(mut to: pipe::Sender, from: pipe::Receiver, input: &[u8]) -> io::Result<Vec<u8>> {
    to.write_all(input).await?;
    drop(to);
    let mut said = Vec::new();
    from.take(LONGEST).read_to_end(&mut said).await?;
    Ok(said)
}

impl Drop for Judge {
    fn drop(&mut self) {
        let Some(mut child) = self.0.take() else { return };
        // It is not waited for yet, so that its number is nobody else's.
        let _ = kill(child.id(), Signal::SIGKILL);
        // Its memory may take a moment to go. Without a runtime this process ends, and whoever
        // inherits the child waits for it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn_blocking(move || child.wait());
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests arrange files directly")]
mod tests {
    use std::time::Instant;

    use serde_json::{Value, json};
    use slapos_slap::{InstanceRequest, SoftwareUrl};
    use slapos_testkit::endless_schema;

    use super::*;
    use crate::requests::job::{Answer, Task};
    use crate::requests::{Desk, Refused, RequestsConfig, SchemaMode, Verdict, Web};
    use crate::testing::JUDGE;

    /// What a judge of the tests does: they are the program that is started again.
    #[test]
    #[ignore = "is what others start"]
    fn serves_the_tests() {
        judge().unwrap();
        // The harness would go on talking.
        std::process::exit(0);
    }

    fn release(schema: &Value) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let software = json!({
            "serialisation": "xml", "software-type": {"default": {"request": "input.json"}}
        });
        for (name, document) in [("software.cfg.json", &software), ("input.json", schema)] {
            std::fs::write(directory.path().join(name), document.to_string()).unwrap();
        }
        directory
    }

    fn job(directory: &tempfile::TempDir, word: &str) -> Job {
        let software: SoftwareUrl =
            directory.path().join("software.cfg").display().to_string().into();
        let mut request = InstanceRequest::new("x", software.clone());
        request.parameters = [("word".to_owned(), word.to_owned())].into();
        Job {
            software,
            project: String::new(),
            web: Web::default(),
            texts: Arc::default(),
            task: Task::Judge(Box::new(request)),
        }
    }

    async fn verdict(bench: &Bench, schema: &Value, word: &str) -> Result<Verdict, Unanswered> {
        let directory = release(schema);
        let answer: Answer<Verdict> = bench.ask(&job(&directory, word)).await?;
        Ok(answer.said)
    }

    /// How many children of this process judge; other tests have theirs judge little.
    fn judges() -> usize {
        let own = std::process::id();
        let words = JUDGE.join("\0");
        let family = slapos_sys::process::descendants(own);
        let judges = family.iter().filter(|(pid, _)| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(&words)
        });
        judges.count()
    }

    /// Waits until there is a judge: who has a place starts one before anybody else has his turn.
    async fn begun(bench: &Bench) {
        while bench.places.available_permits() == PLACES {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_is_made_to_take_for_ever_ends_and_leaves_nothing() {
        let bench = Bench::new(JUDGE);
        let plain = json!({"properties": {"word": {"maxLength": 3}}});
        let said = verdict(&bench, &plain, "long").await.unwrap();
        assert!(said.readable && said.errors.len() == 1, "{said:?}");
        // All of the stack: whatever comes of it, it comes of a process of its own.
        let endless = json!({"allOf": [{"$ref": "#"}, {"$ref": "#"}]});
        drop(verdict(&bench, &endless, "x").await);
        // All of the processor time.
        assert_eq!(verdict(&bench, &endless_schema(), "x").await, Err(Unanswered::TooMuch));
        assert!(verdict(&bench, &plain, "x").await.unwrap().errors.is_empty(), "the next one");
        // Somebody who does not wait for the answer.
        let bomb = endless_schema();
        tokio::select! {
            said = verdict(&bench, &bomb, "x") => panic!("{said:?}"),
            () = begun(&bench) => {}
        }
        let ended = Instant::now();
        let (said, ()) = tokio::join!(verdict(&bench, &bomb, "x"), async {
            begun(&bench).await;
            bench.dismiss();
        });
        assert_eq!(said, Err(Unanswered::Ending));
        assert_eq!(verdict(&bench, &json!({}), "x").await, Err(Unanswered::Ending));
        while judges() > 0 {
            assert!(ended.elapsed() < PATIENCE, "a judge stays");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test]
    async fn what_one_project_has_judged_leaves_room_for_others() {
        let bench = Bench::new(JUDGE);
        let (one, other) = (bench.of_project("one"), bench.of_project("other"));
        let busy = one.acquire_many(u32::try_from(OF_ONE).unwrap()).await.unwrap();
        assert!(bench.of_project("one").try_acquire().is_err() && other.try_acquire().is_ok());
        const { assert!(OF_ONE < PLACES) };
        drop(busy);
        drop((one, other));
        assert!(bench.of_project("one").try_acquire().is_ok());
        assert_eq!(bench.projects.lock().unwrap().len(), 1, "who waits for nothing is forgotten");
    }

    #[tokio::test]
    async fn what_is_not_judged_is_not_granted() {
        let bench = Bench { wait: Duration::ZERO, ..Bench::new(JUDGE) };
        let all = bench.places.acquire_many(u32::try_from(PLACES).unwrap()).await.unwrap();
        assert_eq!(verdict(&bench, &json!({}), "x").await, Err(Unanswered::Busy));
        drop(all);
        // No program is started with a word of that length.
        let words: &[&str] = Box::leak(Box::new([&*"x".repeat(1 << 20).leak()]));
        let directory = release(&json!({}));
        let Task::Judge(request) = job(&directory, "x").task else { panic!("another") };
        for mode in [SchemaMode::Enforce, SchemaMode::Warn] {
            let config = RequestsConfig { schema: mode, judge: words, ..RequestsConfig::default() };
            let desk = Desk::new(config, "id".to_owned());
            let judged = desk.judge("", &request).await;
            match mode {
                SchemaMode::Enforce => assert!(matches!(judged, Err(Refused::Busy)), "{judged:?}"),
                _ => judged.unwrap(),
            }
            let software = &request.software;
            assert!(matches!(desk.schema("", software).await, Err(Refused::Busy)), "{software}");
        }
    }

    #[test]
    fn the_answer_is_the_last_line() {
        assert_eq!(last_line(b"noise\nmore\n{}"), b"{}");
        assert_eq!(last_line(b"{}"), b"{}");
        assert_eq!(last_line(b"half\n"), b"");
    }
}
