//! Many nodes listen, and users ask: how soon a node hears of what is asked of it, and what memory
//! the Master needs for that.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::task::LocalSet;

use crate::Target;
use crate::http::{Connection, Request, connect, listen};
use crate::load::percentile;
use crate::ours::Master;
use crate::process::{cpu_seconds, resident_mib};
use crate::ratios::run_all;
use crate::secret::Secret;

/// Partitions of each node.
const PARTITIONS: usize = 10;
/// Requests of users, and the time between two of them.
const REQUESTS: usize = 2000;
const PAUSE: Duration = Duration::from_millis(10);
/// How long the Master is left alone with its listeners, whom it only shows that it lives.
const IDLE: Duration = Duration::from_secs(40);
/// Connections that are made at a time.
const AT_A_TIME: usize = 64;

/// Nodes for which a request is on its way, and since when.
type Asked = Rc<RefCell<HashMap<usize, Instant>>>;
type Heard = Rc<RefCell<Vec<f64>>>;

/// Has `nodes` nodes listen, over TLS where the Master has it, and prints.
pub(crate) fn measure(master: &Master, nodes: usize) {
    let target = Target::of(master);
    let words = target.words.clone();
    let all = nodes;
    let formats = move |turn| (turn < all).then(|| words.format(&name(turn), PARTITIONS));
    run_all(&target, 8, formats);
    let before = resident_mib(target.pid);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime can be made");
    LocalSet::new().block_on(&runtime, drill(&target, nodes, before));
}

fn name(index: usize) -> String {
    format!("node{index}")
}

async fn drill(target: &Target, nodes: usize, before: f64) {
    let (asked, heard) = (Asked::default(), Heard::default());
    let started = Instant::now();
    connect_all(target, nodes, &asked, &heard).await;
    let connecting = started.elapsed().as_secs_f64();
    let how = if target.secret.is_some() { " over TLS" } else { "" };
    println!("{nodes} nodes listen{how}: connected within {connecting:.1} s");
    let cpu = cpu_seconds(target.pid);
    tokio::time::sleep(IDLE).await;
    let idle = 100.0 * (cpu_seconds(target.pid) - cpu) / IDLE.as_secs_f64();
    let resident = resident_mib(target.pid);
    println!(
        "memory: {before:.0} MiB before, {resident:.0} MiB with them; idle {idle:.1} % of a core"
    );
    let mut answers = ask(target, nodes, &asked).await;
    // Those still on their way.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut latencies = heard.take();
    let lost = asked.borrow().len();
    println!(
        "{} requests answered within {:.2} ms (p50), {:.2} ms (p99)",
        answers.len(),
        percentile(&mut answers, 50),
        percentile(&mut answers, 99)
    );
    println!(
        "{} heard by their nodes within {:.2} ms (p50), {:.2} ms (p99), {:.2} ms (all); {lost} not heard",
        latencies.len(),
        percentile(&mut latencies, 50),
        percentile(&mut latencies, 99),
        percentile(&mut latencies, 100)
    );
    println!("memory after: {:.0} MiB\n", resident_mib(target.pid));
}

async fn connect_all(target: &Target, nodes: usize, asked: &Asked, heard: &Heard) {
    let room = Rc::new(tokio::sync::Semaphore::new(AT_A_TIME));
    let secret = match target.secret {
        None => None,
        Some(_) => Some(Rc::new(Secret::of(target).await)),
    };
    for node in 0..nodes {
        let permit = Rc::clone(&room);
        let (secret, address) = (secret.clone(), target.secret.unwrap_or(target.address));
        let request = target.words.events(&name(node));
        let (asked, heard) = (Rc::clone(asked), Rc::clone(heard));
        tokio::task::spawn_local(async move {
            let permit = permit.acquire().await.expect("it is never closed");
            let stream = open(address, secret.as_deref(), &request).await;
            let stream = stream.unwrap_or_else(|error| panic!("node {node}: {error}"));
            drop(permit);
            hear(node, stream, &asked, &heard).await;
        });
        // Not all tasks at once.
        tokio::task::yield_now().await;
    }
    while room.available_permits() < AT_A_TIME {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A connection on which a node hears.
async fn open(
    address: SocketAddr,
    secret: Option<&Secret>,
    request: &Request,
) -> std::io::Result<Box<dyn AsyncRead + Unpin>> {
    let stream = connect(address).await?;
    Ok(match secret {
        None => Box::new(listen(stream, request).await?),
        Some(secret) => Box::new(listen(secret.over(stream).await?, request).await?),
    })
}

/// Takes note of when a node hears of the request that is on its way to it.
async fn hear(node: usize, mut stream: impl AsyncRead + Unpin, asked: &Asked, heard: &Heard) {
    let mut buffer = [0; 512];
    loop {
        let count = stream.read(&mut buffer).await.expect("the Master lives");
        assert!(count > 0, "the Master ended what node {node} hears");
        let text = &buffer[..count];
        let is_request = text.windows(9).any(|window| window == b"\"request\"");
        if is_request && let Some(since) = asked.borrow_mut().remove(&node) {
            heard.borrow_mut().push(since.elapsed().as_secs_f64() * 1e3);
        }
    }
}

/// Users ask one after the other, each for something new; gives how long each waited.
async fn ask(target: &Target, nodes: usize, asked: &Asked) -> Vec<f64> {
    let mut pace = tokio::time::interval(PAUSE);
    let answers = Rc::new(RefCell::new(Vec::new()));
    let mut waiting = Vec::new();
    for turn in 0..REQUESTS {
        pace.tick().await;
        // A step that is no divisor of any number of nodes that is asked for visits them all.
        let node = turn * 7919 % nodes;
        let title = format!("{} {}", name(node), turn / nodes);
        let request = target.words.request(&title, &name(node), &turn.to_string());
        asked.borrow_mut().insert(node, Instant::now());
        let (address, answers) = (target.address, Rc::clone(&answers));
        waiting.push(tokio::task::spawn_local(async move {
            let waited = exchange(address, &request).await;
            answers.borrow_mut().push(waited);
        }));
    }
    for task in waiting {
        task.await.expect("it is granted");
    }
    answers.take()
}

async fn exchange(address: SocketAddr, request: &Request) -> f64 {
    let asked = Instant::now();
    let mut connection = Connection::new(address);
    connection.exchange(request).await.expect("it is granted");
    asked.elapsed().as_secs_f64() * 1e3
}
