//! Contents on their way in from upstream: one download of each, which all who want it follow while
//! it comes.
//!
//! Invariants: no follower is given the last byte before the whole is proven and kept, so that nobody
//! takes for whole what turns out wrong. What waits for another cache has a thread of its own, and
//! there are a few of them at most: so many for contents, which may take hours, of which nobody has
//! all, and so many for entries, which have to come soon. A download goes on when nobody follows it
//! any more.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use super::{Digest, Failure, Shacache, Upstream};

/// How many contents may be on their way at a time.
const CONTENTS: usize = 32;

/// And how many of those that one asked for.
const OF_ONE: usize = 24;

/// How many may wait for what else another cache has, at a time.
const ENTRIES: usize = 32;

/// How much is read at a time, in bytes.
const PIECE: usize = 64 << 10;

/// How long the first piece may take before what there is of it is given.
const A_WHILE: Duration = Duration::from_secs(5);

/// What is under way.
#[derive(Debug)]
pub(super) struct Arrivals {
    coming: Mutex<HashMap<String, Coming>>,
    contents: Arc<Semaphore>,
    entries: Arc<Semaphore>,
}

/// A download, in the list of those that are under way.
#[derive(Debug)]
struct Coming {
    progress: watch::Receiver<Progress>,
    /// Who was the first to ask for it.
    asker: String,
}

impl Default for Arrivals {
    fn default() -> Arrivals {
        let [contents, entries] =
            [CONTENTS, ENTRIES].map(|places| Arc::new(Semaphore::new(places)));
        Arrivals { coming: Mutex::default(), contents, entries }
    }
}

/// How far a download is.
#[derive(Debug, Clone, Default)]
struct Progress {
    /// Where it is written to, and how long it will be, if upstream says so.
    begun: Option<(Arc<File>, Option<u64>)>,
    /// How many bytes of it are there.
    here: u64,
    /// Whether it is proven, and kept.
    end: Option<Result<(), Failure>>,
}

impl Progress {
    /// How much may be given.
    fn given(&self) -> u64 {
        if matches!(self.end, Some(Ok(()))) { self.here } else { self.here.saturating_sub(1) }
    }
}

impl Arrivals {
    fn coming(&self) -> MutexGuard<'_, HashMap<String, Coming>> {
        // Nothing that can panic is done under the lock.
        self.coming.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place(places: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Failure> {
    Arc::clone(places).try_acquire_owned().map_err(|_| Failure::Busy)
}

/// What is known of a content that is asked for.
pub(crate) enum Found {
    /// It is here.
    Here(File),
    /// It is on its way.
    Coming(Arriving),
}

impl Shacache {
    /// A content, for which upstream is asked if it is not here; `asker` says for whom. Blocks for the
    /// disk only.
    pub(crate) fn find(&self, digest: &Digest, asker: &str) -> Result<Found, Failure> {
        if let Some(file) = self.content(digest)? {
            return Ok(Found::Here(file));
        }
        let mut coming = self.arrivals.coming();
        if let Some(coming) = coming.get(digest.as_str()) {
            return Ok(Found::Coming(Arriving(coming.progress.clone())));
        }
        // Who has arrived leaves the list when he is here.
        if let Some(file) = self.content(digest)? {
            return Ok(Found::Here(file));
        }
        if self.config.upstream_cache.is_none() {
            return Err(Failure::Absent);
        }
        if coming.values().filter(|coming| coming.asker == asker).count() >= OF_ONE {
            return Err(Failure::Busy);
        }
        let place = place(&self.arrivals.contents)?;
        let (told, progress) = watch::channel(Progress::default());
        let listed = Coming { progress: progress.clone(), asker: asker.to_owned() };
        coming.insert(digest.as_str().to_owned(), listed);
        drop(coming);
        let listed = Listed { cache: self.clone(), digest: digest.clone() };
        let arrival = Arrival { listed, told, _place: place };
        spawn(move || arrival.come())?;
        Ok(Found::Coming(Arriving(progress)))
    }

    /// Does what waits for another cache where nobody else waits for the thread.
    pub(crate) async fn away<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let place = place(&self.arrivals.entries)?;
        let (told, done) = oneshot::channel();
        spawn(move || {
            let _place = place;
            let _ = told.send(work());
        })?;
        done.await.map_err(|_| Failure::interrupted())
    }
}

fn spawn(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name("shacache".to_owned()).spawn(work).map(drop)
}

/// A download.
struct Arrival {
    listed: Listed,
    told: watch::Sender<Progress>,
    _place: OwnedSemaphorePermit,
}

impl Arrival {
    fn come(self) {
        let end = self.bring();
        if let Err(failure) = &end {
            let name = self.listed.digest.as_str();
            tracing::warn!("the content {name} was not taken over: {failure}");
        }
        // Who asks once it has failed asks anew.
        drop(self.listed);
        self.told.send_modify(|progress| progress.end = Some(end));
    }

    fn bring(&self) -> Result<(), Failure> {
        let Listed { cache, digest } = &self.listed;
        let (length, mut reader) = Upstream::for_contents().content(cache, digest)?;
        let mut incoming = cache.incoming()?;
        let file = Arc::new(incoming.draft.file().try_clone()?);
        self.told.send_modify(|progress| progress.begun = Some((file, length)));
        let mut buffer = vec![0; PIECE];
        loop {
            let piece = match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => buffer.get(..length).unwrap_or_default(),
                Err(error) => return Err(Failure::Upstream(error.to_string())),
            };
            incoming.take(piece).map_err(Failure::from)?;
            self.told.send_modify(|progress| progress.here += piece.len() as u64);
        }
        incoming.finish(Some(digest)).map(drop).map_err(Failure::from)
    }
}

/// Leaves the list when it is dropped.
struct Listed {
    cache: Shacache,
    digest: Digest,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.cache.arrivals.coming().remove(self.digest.as_str());
    }
}

/// A content on its way, for one who wants it.
pub(crate) struct Arriving(watch::Receiver<Progress>);

/// What can be said to who wants it.
#[derive(Debug, PartialEq)]
pub(crate) enum Outlook {
    /// It has arrived.
    Whole,
    /// The beginning of it is there; so long is the whole, if upstream says so.
    Coming(Option<u64>),
}

impl Arriving {
    /// Waits until there is something to give. What is short is proven by then, so that who asked is
    /// told what is wrong with it.
    pub(crate) async fn outlook(&mut self) -> Result<Outlook, Failure> {
        let answered = |progress: &Progress| progress.begun.is_some() || progress.end.is_some();
        let under_way =
            |progress: &Progress| progress.here > PIECE as u64 || progress.end.is_some();
        let gone = |_| Failure::interrupted();
        drop(self.0.wait_for(answered).await.map_err(gone)?);
        if let Ok(Err(_)) = tokio::time::timeout(A_WHILE, self.0.wait_for(under_way)).await {
            return Err(Failure::interrupted());
        }
        let progress = self.0.borrow();
        match (&progress.end, &progress.begun) {
            (Some(Err(failure)), _) => Err(failure.clone()),
            (Some(Ok(())), _) => Ok(Outlook::Whole),
            (None, begun) => Ok(Outlook::Coming(begun.as_ref().and_then(|(_, length)| *length))),
        }
    }

    /// What comes after the first `at` bytes, once it is there; nothing at the end.
    pub(crate) async fn piece(&mut self, at: u64) -> Option<io::Result<Bytes>> {
        let there = |progress: &Progress| progress.given() > at || progress.end.is_some();
        let (file, count) = match self.0.wait_for(there).await {
            Err(_) => return Some(Err(io::Error::other(Failure::interrupted()))),
            Ok(progress) => match (&progress.end, &progress.begun) {
                (Some(Err(failure)), _) => return Some(Err(io::Error::other(failure.clone()))),
                (_, Some((file, _))) => (Arc::clone(file), progress.given().saturating_sub(at)),
                _ => return None,
            },
        };
        let count = usize::try_from(count).map_or(PIECE, |count| count.min(PIECE));
        if count == 0 {
            return None;
        }
        let read = move || {
            let mut piece = vec![0; count];
            file.read_exact_at(&mut piece, at).map(|()| Bytes::from(piece))
        };
        Some(
            tokio::task::spawn_blocking(read)
                .await
                .unwrap_or_else(|error| Err(io::Error::other(error))),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream};
    use std::sync::mpsc;

    use super::super::ShacacheConfig;
    use super::*;

    /// Another cache, which answers each connection with what it is told to write.
    struct Other {
        _directory: tempfile::TempDir,
        cache: Shacache,
        listener: TcpListener,
    }

    impl Other {
        fn new() -> Other {
            let directory = tempfile::tempdir().unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let config = ShacacheConfig {
                content: directory.path().join("content"),
                metadata: directory.path().join("dir"),
                upstream_cache: Some(format!("http://{}", listener.local_addr().unwrap())),
                upstream_dir: None,
                anonymous_download: false,
                shared: false,
                largest: 1 << 30,
            };
            let cache = Shacache::open(config).unwrap();
            Other { _directory: directory, cache, listener }
        }

        /// Takes the next question, and promises so many bytes.
        fn promise(&self, length: usize) -> TcpStream {
            let (mut stream, _) = self.listener.accept().unwrap();
            let mut question = Vec::new();
            while !question.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                question.extend(byte);
            }
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").unwrap();
            stream
        }

        fn find(&self, digest: &Digest) -> Arriving {
            match self.cache.find(digest, "one").unwrap() {
                Found::Coming(arriving) => arriving,
                Found::Here(_) => panic!("it is here"),
            }
        }

        fn kept(&self) -> usize {
            std::fs::read_dir(&self.cache.config.content).unwrap().count()
        }
    }

    fn digest_of(content: &[u8]) -> Digest {
        let directory = tempfile::tempdir().unwrap();
        let mut config = Other::new().cache.config;
        config.content = directory.path().join("content");
        config.metadata = directory.path().join("dir");
        let mut incoming = Shacache::open(config).unwrap().incoming().unwrap();
        incoming.take(content).unwrap();
        incoming.finish(None).unwrap()
    }

    async fn all(arriving: &mut Arriving) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        while let Some(piece) = arriving.piece(all.len() as u64).await {
            all.extend_from_slice(&piece?);
        }
        Ok(all)
    }

    #[tokio::test]
    async fn two_who_want_the_same_follow_one_download_while_it_comes() {
        let content: Vec<u8> = (0..=250).cycle().take(PIECE * 3).collect();
        let (other, digest) = (Other::new(), digest_of(&content));
        let mut one = other.find(&digest);
        let mut stream = other.promise(content.len());
        stream.write_all(&content[..PIECE * 2]).unwrap();
        assert_eq!(one.outlook().await.unwrap(), Outlook::Coming(Some(content.len() as u64)));
        // A second connection would be answered by nobody.
        let mut two = other.find(&digest);
        let first = one.piece(0).await.unwrap().unwrap();
        assert_eq!(first, content[..first.len()]);
        stream.write_all(&content[PIECE * 2..]).unwrap();
        drop(stream);
        assert!(all(&mut one).await.unwrap() == content && all(&mut two).await.unwrap() == content);
        assert_eq!(two.outlook().await.unwrap(), Outlook::Whole);
        assert!(matches!(other.cache.find(&digest, "one").unwrap(), Found::Here(_)));
        assert_eq!(other.kept(), 1);
    }

    #[tokio::test]
    async fn what_turns_out_wrong_is_never_given_whole() {
        let wrong = vec![7; PIECE * 2];
        let (other, digest) = (Other::new(), digest_of(b"right"));
        let mut arriving = other.find(&digest);
        let mut stream = other.promise(wrong.len());
        stream.write_all(&wrong).unwrap();
        let mut given = 0;
        let error = loop {
            match arriving.piece(given).await.expect("it does not end well") {
                Ok(piece) => given += piece.len() as u64,
                Err(error) => break error,
            }
        };
        assert!(given < wrong.len() as u64);
        insta::assert_snapshot!(error, @"Upstream error: Checksum mismatch");
        assert_eq!(other.kept(), 0);
        // The next one asks again.
        let mut again = other.find(&digest);
        drop(other.promise(5));
        assert!(matches!(again.outlook().await, Err(Failure::Upstream(_))), "it was cut off");
        assert_eq!(other.kept(), 0);
    }

    #[tokio::test]
    async fn others_are_refused_when_too_many_wait() {
        let other = Other::new();
        let (go, wait) = mpsc::channel::<()>();
        let wait = Arc::new(Mutex::new(wait));
        let work = || {
            let wait = Arc::clone(&wait);
            other.cache.away(move || drop(wait.lock().map(|wait| wait.recv())))
        };
        let mut waiting = Vec::new();
        for _ in 0..ENTRIES {
            let mut one = Box::pin(work());
            assert!(
                std::future::poll_fn(|cx| std::task::Poll::Ready(
                    one.as_mut().poll(cx).is_pending()
                ))
                .await
            );
            waiting.push(one);
        }
        assert!(matches!(work().await, Err(Failure::Busy)));
        // What takes longer is no hindrance, nor hindered.
        let (content, arrivals) = (digest_of(b"x"), &other.cache.arrivals);
        let all = u32::try_from(CONTENTS).unwrap();
        let all = Arc::clone(&arrivals.contents).try_acquire_many_owned(all).unwrap();
        assert!(matches!(other.cache.find(&content, "one"), Err(Failure::Busy)));
        drop(all);
        drop(go);
        for one in waiting {
            one.await.unwrap();
        }
        work().await.unwrap();
        // One who asks for many leaves places for others.
        const { assert!(OF_ONE < CONTENTS) };
        let (_told, progress) = watch::channel(Progress::default());
        for number in 0..OF_ONE {
            let coming = Coming { progress: progress.clone(), asker: "one".to_owned() };
            arrivals.coming().insert(number.to_string(), coming);
        }
        assert!(matches!(other.cache.find(&content, "one"), Err(Failure::Busy)));
        assert!(matches!(other.cache.find(&content, "other"), Ok(Found::Coming(_))));
    }
}
