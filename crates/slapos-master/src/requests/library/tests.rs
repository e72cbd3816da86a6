//! Who reads, who waits and for how long, with a server that answers when the test has it answer.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::requests::job::Task;
use crate::requests::schema::Web;
use crate::testing::JUDGE;

/// Until it is there.
const LONG: Duration = Duration::from_secs(60);

struct Scene {
    library: Library,
    seconds: Arc<AtomicU64>,
    listener: TcpListener,
}

impl Scene {
    /// `step` is by how many seconds the clock moves whenever somebody looks at it.
    async fn new(step: u64) -> Scene {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let seconds = Arc::new(AtomicU64::new(1000));
        let clock = Arc::clone(&seconds);
        let now = move || Duration::from_secs(clock.fetch_add(step, Ordering::Relaxed));
        let library = Library::timed(JUDGE, Counts::default(), Arc::new(now));
        Scene { library, seconds, listener }
    }

    fn pass(&self, time: Duration) {
        self.seconds.fetch_add(time.as_secs(), Ordering::Relaxed);
    }

    fn job(&self, name: &str) -> Job {
        job(&self.listener.local_addr().unwrap().to_string(), name)
    }

    async fn of(&self, job: &Job, patience: Duration) -> String {
        said(self.library.of(job, patience).await)
    }

    /// Somebody who reads.
    async fn reader(&self) -> TcpStream {
        self.listener.accept().await.unwrap().0
    }

    /// Answers who reads next.
    async fn answer(&self, text: &str) {
        answer(self.reader().await, text).await;
    }

    /// Waits until nothing is read any more.
    async fn landed(&self) {
        while self.flights() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn flights(&self) -> usize {
        let state = self.library.0.state();
        state.flights.values().filter(|flight| flight.news.has_changed().is_ok()).count()
    }
}

fn job(host: &str, name: &str) -> Job {
    Job {
        software: format!("http://{host}/{name}.cfg").into(),
        project: "p".to_owned(),
        web: Web { https: false, http: false, hosts: vec![host.to_owned()] },
        texts: Arc::default(),
        task: Task::Read,
    }
}

/// Nothing is there, if there is no text.
async fn answer(stream: TcpStream, text: &str) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while stream.read_line(&mut line).await.unwrap() > 2 {
        line.clear();
    }
    let (status, length) = (if text.is_empty() { "404 No" } else { "200 OK" }, text.len());
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close");
    stream.write_all(format!("{head}\r\n\r\n{text}").as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
}

/// The one document, or why there is none.
fn said(found: Found) -> String {
    match found {
        Ok(Ok(bundle)) => bundle.texts.values().next().unwrap().clone().unwrap(),
        Ok(Err(why)) => why,
        Err(unanswered) => format!("{unanswered:?}"),
    }
}

#[tokio::test]
async fn however_many_ask_it_is_read_once_and_kept() {
    let scene = Scene::new(0).await;
    let job = scene.job("s");
    let ask = || scene.of(&job, LONG);
    let (one, two, three, ()) = tokio::join!(ask(), ask(), ask(), scene.answer("[1]"));
    assert_eq!([one, two, three], ["[1]"; 3]);
    scene.landed().await;
    assert_eq!(scene.of(&job, Duration::ZERO).await, "[1]");
    assert_eq!(scene.flights(), 0, "nobody reads it again");
}

#[tokio::test]
async fn what_is_old_is_used_while_it_is_read_again() {
    let scene = Scene::new(0).await;
    let job = scene.job("s");
    let _ = tokio::join!(scene.of(&job, LONG), scene.answer("[1]"));
    scene.landed().await;
    scene.pass(Duration::from_secs(3600));
    for _ in 0..3 {
        assert_eq!(scene.of(&job, Duration::ZERO).await, "[1]");
    }
    assert_eq!(scene.flights(), 1);
    scene.answer("[2]").await;
    scene.landed().await;
    assert_eq!(scene.of(&job, Duration::ZERO).await, "[2]");
    // Who lacks something of it waits for another reading.
    let (anew, ()) = tokio::join!(scene.library.anew(&job, LONG), scene.answer("[3]"));
    assert_eq!(said(anew), "[3]");
}

#[tokio::test]
async fn what_failed_is_not_read_again_at_once() {
    let scene = Scene::new(0).await;
    let job = scene.job("s");
    let (failed, ()) = tokio::join!(scene.of(&job, LONG), scene.answer(""));
    assert!(failed.contains("404"), "{failed}");
    scene.landed().await;
    assert_eq!(scene.of(&job, Duration::ZERO).await, failed);
    assert_eq!(scene.flights(), 0);
    scene.pass(Duration::from_secs(3600));
    let (read, ()) = tokio::join!(scene.of(&job, LONG), scene.answer("[1]"));
    assert_eq!(read, "[1]");
}

#[tokio::test]
async fn nobody_waits_longer_than_he_says_and_it_is_read_nevertheless() {
    let scene = Scene::new(0).await;
    let job = scene.job("s");
    let Look::Waits(_) = scene.library.0.look(&job, false) else { panic!("it is known") };
    let reader = scene.reader().await;
    assert_eq!(scene.of(&job, Duration::ZERO).await, SLOW);
    answer(reader, "[1]").await;
    scene.landed().await;
    assert_eq!(scene.of(&job, Duration::ZERO).await, "[1]");
}

#[test]
fn what_has_not_begun_is_told_apart_from_what_is_slow() {
    assert_eq!(said(News::Waits.so_far(false)), "Busy");
    assert_eq!(said(News::Begun.so_far(false)), SLOW);
    assert_eq!(said(News::Begun.so_far(true)), "Busy", "who reads is gone");
    assert_eq!(said(News::Over(Ok(Err("404".to_owned()))).so_far(true)), "404");
}

#[tokio::test]
async fn while_the_network_is_away_nobody_waits() {
    let scene = Scene::new(3).await;
    let nobody = "127.0.0.1:1";
    let failed = scene.of(&job(nobody, "a"), LONG).await;
    assert!(failed.contains("refused"), "{failed}");
    assert_eq!(scene.of(&job(nobody, "b"), LONG).await, AWAY);
    let there = scene.job("s");
    assert_eq!(scene.of(&there, LONG).await, AWAY);
    // It is tried all the same.
    scene.answer("[1]").await;
    scene.landed().await;
    assert_eq!(scene.of(&there, Duration::ZERO).await, "[1]");
    let other = scene.job("t");
    let (other, ()) = tokio::join!(scene.of(&other, LONG), scene.answer("[2]"));
    assert_eq!(other, "[2]");
}

#[tokio::test]
async fn what_is_read_at_a_time_is_bounded() {
    let scene = Scene::new(0).await;
    let look = |project: usize, name: usize| {
        let project = format!("p{project}");
        scene.library.0.look(&Job { project, ..scene.job(&name.to_string()) }, false)
    };
    // Nothing begins before this task waits for something.
    for name in 0..OF_ONE {
        assert!(matches!(look(0, name), Look::Waits(_)), "{name}");
    }
    assert!(matches!(look(0, OF_ONE), Look::Busy));
    assert!(matches!(look(0, 0), Look::Waits(_)), "which is read already");
    for name in OF_ONE..MOST {
        assert!(matches!(look(name, name), Look::Waits(_)), "{name}");
    }
    assert!(matches!(look(MOST, MOST), Look::Busy));
    scene.library.dismiss();
    assert_eq!(scene.of(&scene.job("0"), LONG).await, "Ending");
}
