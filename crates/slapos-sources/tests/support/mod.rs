//! A web server in the test, which misbehaves on request, and a fetcher without patience.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use slapos_sources::{Fetcher, FetcherConfig, Patience, Source};

/// One request as the server saw it.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Path with query.
    pub(crate) path: String,
    /// Headers, names in lower case.
    pub(crate) headers: HashMap<String, String>,
}

impl Request {
    /// First byte asked for by a range header.
    pub(crate) fn range_start(&self) -> Option<usize> {
        let range = self.headers.get("range")?.strip_prefix("bytes=")?;
        range.split_once('-')?.0.parse().ok()
    }
}

/// What to answer.
pub(crate) struct Reply {
    /// For example `200 OK`.
    pub(crate) status: &'static str,
    /// Complete header lines.
    pub(crate) headers: Vec<String>,
    /// The whole body, whose length is announced.
    pub(crate) body: Vec<u8>,
    /// Close the connection after this many bytes of the body.
    pub(crate) cut: Option<usize>,
}

impl Reply {
    pub(crate) fn new(status: &'static str, body: &[u8]) -> Self {
        Self { status, headers: vec![], body: body.to_vec(), cut: None }
    }

    pub(crate) fn header(mut self, line: impl Into<String>) -> Self {
        self.headers.push(line.into());
        self
    }

    pub(crate) fn cut(mut self, after: usize) -> Self {
        self.cut = Some(after);
        self
    }

    /// The rest of `body` from `start`, as a server with ranges answers.
    pub(crate) fn partial(body: &[u8], start: usize) -> Self {
        let last = body.len() - 1;
        Self::new("206 Partial Content", &body[start..])
            .header(format!("Content-Range: bytes {start}-{last}/{}", body.len()))
    }
}

/// A server on the loopback that answers with what a closure says.
pub(crate) struct Server {
    /// `http://address:port`
    pub(crate) base: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub(crate) fn start(answer: impl Fn(usize, &Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                serve(&stream, &log, &answer);
            }
        });
        Self { base, requests }
    }

    /// Everything asked so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

fn serve(
    mut stream: &TcpStream,
    log: &Mutex<Vec<Request>>,
    answer: &impl Fn(usize, &Request) -> Reply,
) {
    let mut lines =
        BufReader::new(stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let Some(first) = lines.next() else { return };
    let request = Request {
        path: first.split(' ').nth(1).unwrap_or_default().to_owned(),
        headers: lines
            .filter_map(|line| {
                let (name, value) = line.split_once(':')?;
                Some((name.to_ascii_lowercase(), value.trim().to_owned()))
            })
            .collect(),
    };
    let number = {
        let mut log = log.lock().unwrap();
        log.push(request.clone());
        log.len() - 1
    };
    let reply = answer(number, &request);
    let mut head = format!(
        "HTTP/1.1 {}\r\nContent-Length: {}\r\nConnection: close\r\n",
        reply.status,
        reply.body.len()
    );
    for header in &reply.headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    let body = &reply.body[..reply.cut.unwrap_or(reply.body.len())];
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(body);
}

/// Settings that ask nobody but the places named, and do not wait.
pub(crate) fn config(cache: &Path) -> FetcherConfig {
    let mut config = FetcherConfig::new(cache);
    config.by_hash = false;
    config.patience = Patience {
        connect: Duration::from_secs(20),
        stall: Duration::from_secs(20),
        retries: 2,
        backoff: Duration::ZERO,
    };
    config
}

pub(crate) fn fetcher(cache: &Path) -> Fetcher {
    Fetcher::new(config(cache))
}

pub(crate) fn source(text: &str) -> Source {
    text.parse().unwrap()
}
