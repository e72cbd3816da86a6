//! Who may stay connected, and for how long: nobody exhausts the Master by connecting and saying
//! nothing.
//!
//! A connection is a stranger until one of its requests had the token. A stranger has a fixed time
//! from its arrival, however slowly it talks. A connection that had the token may stay as long as it is
//! used. When there is no more room, one has to go for whoever comes: see [`super::guests`].

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, Sleep};
use tokio_rustls::{Accept, TlsAcceptor, server::TlsStream};

use crate::guests::{Guests, Signs};
use crate::refused::{RefusedCertificate, heard};
use crate::tls::serial_of;

/// How many may be connected, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Connections at a time, at each port; a process may have 1024 files open unless told otherwise.
    pub(crate) connections: usize,
    /// How long a connection may take to show the token.
    pub(crate) stranger: Duration,
    /// How long one that had the token may be idle. Longer than any answer takes.
    pub(crate) idle: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 256,
            stranger: Duration::from_secs(10),
            idle: Duration::from_secs(120),
        }
    }
}

/// How long it is waited for one who was told to leave, before another one is told.
const SLOW: Duration = Duration::from_secs(1);

type Shared = Arc<Mutex<Guests>>;

fn lock(guests: &Shared) -> MutexGuard<'_, Guests> {
    // Nothing that can panic is done under the lock.
    guests.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Handshakes of which it is not told yet that they were refused; of more at a time nothing is told.
const REFUSED: usize = 100;

/// A certificate that was refused, and where it came from.
pub(crate) type Refusal = (IpAddr, RefusedCertificate);

/// What makes the connections of a port secret.
pub(crate) struct Tls {
    acceptor: TlsAcceptor,
    refusals: mpsc::Sender<Refusal>,
}

impl Tls {
    /// Also gives where it is heard of the certificates that are refused.
    pub(crate) fn new(acceptor: TlsAcceptor) -> (Tls, mpsc::Receiver<Refusal>) {
        let (refusals, heard) = mpsc::channel(REFUSED);
        (Tls { acceptor, refusals }, heard)
    }
}

/// The port, with its limits.
pub(crate) struct Door {
    listener: TcpListener,
    /// Where connections are secret.
    tls: Option<Tls>,
    limits: Limits,
    room: Arc<Semaphore>,
    guests: Shared,
    opened: Instant,
}

impl Door {
    pub(crate) fn new(listener: TcpListener, tls: Option<Tls>, limits: Limits) -> Door {
        let room = Arc::new(Semaphore::new(limits.connections));
        let guests = Arc::new(Mutex::new(Guests::new(limits.connections)));
        Door { listener, tls, limits, room, guests, opened: Instant::now() }
    }

    /// Room for one more, for which another one has to go if there is none. Where nobody has more than a
    /// few, it is waited until one leaves.
    async fn room(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = Arc::clone(&self.room).try_acquire_owned() {
            return Some(permit);
        }
        loop {
            lock(&self.guests).make_way();
            let free = Arc::clone(&self.room).acquire_owned();
            if let Ok(permit) = tokio::time::timeout(SLOW, free).await {
                return permit.ok();
            }
        }
    }
}

impl Listener for Door {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.listener).await;
        // Answers are small, and clients wait for each before they ask again.
        let _ = stream.set_nodelay(true);
        let permit = self.room().await;
        let signs = Arc::new(Signs::default());
        let (number, told) = lock(&self.guests).arrive(Arc::clone(&signs));
        // The handshake is the connection's own affair: nobody waits for another's.
        let stream = match &self.tls {
            None => Stream::Plain(stream),
            Some(tls) => Stream::Greeting(Box::new(Greeting {
                accept: tls.acceptor.accept(stream),
                refusals: tls.refusals.clone(),
            })),
        };
        let connection = Connection {
            stream,
            guest: Guest {
                number,
                address: address.ip(),
                secret: self.tls.is_some(),
                certificate: Arc::default(),
                guests: Arc::clone(&self.guests),
            },
            told: Some(told),
            signs,
            opened: self.opened,
            timer: Box::pin(tokio::time::sleep(self.limits.stranger)),
            idle: self.limits.idle,
            welcome: false,
            _permit: permit,
        };
        (connection, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// What a request knows of its connection.
#[derive(Clone, Debug)]
pub(crate) struct Guest {
    number: u64,
    address: IpAddr,
    /// Whether it came to the port with TLS.
    secret: bool,
    /// The serial number of the certificate that was shown, once the handshake is over.
    certificate: Arc<OnceLock<String>>,
    guests: Shared,
}

impl Guest {
    /// The other end.
    pub(crate) fn address(&self) -> IpAddr {
        self.address
    }

    /// Whether nobody on the way can read what is said.
    pub(crate) fn is_secret(&self) -> bool {
        self.secret
    }

    /// The serial number of the certificate of our authority that the other end has the key of.
    pub(crate) fn certificate(&self) -> Option<String> {
        self.certificate.get().cloned()
    }

    /// It had a token, or may stay for another reason: in that name.
    pub(crate) fn welcome(&self, who: &str) {
        lock(&self.guests).welcome(self.number, who);
    }
}

impl Connected<IncomingStream<'_, Door>> for Guest {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Guest {
        stream.io().guest.clone()
    }
}

/// What a connection consists of.
enum Stream {
    Plain(TcpStream),
    /// The handshake of TLS, which goes on when something is read or written.
    Greeting(Box<Greeting>),
    Secret(Box<TlsStream<TcpStream>>),
}

/// A handshake.
struct Greeting {
    accept: Accept<TcpStream>,
    refusals: mpsc::Sender<Refusal>,
}

/// A connection that fails when its time is over.
pub(crate) struct Connection {
    stream: Stream,
    guest: Guest,
    /// Answers when it has to leave; none any more once it has.
    told: Option<oneshot::Receiver<()>>,
    signs: Arc<Signs>,
    opened: Instant,
    timer: Pin<Box<Sleep>>,
    idle: Duration,
    /// It is no stranger any more.
    welcome: bool,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Connection {
    /// Fails when the connection has to end; else has the task woken when it will have to.
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if let Some(told) = &mut self.told
            && Pin::new(told).poll(cx).is_ready()
        {
            self.told = None;
        }
        if self.told.is_none() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        if !self.welcome && self.signs.known.load(Ordering::Relaxed) {
            self.welcome = true;
            self.used();
        }
        match self.timer.as_mut().poll(cx) {
            Poll::Pending => Ok(()),
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Something was read or written, which gives time to who is no stranger.
    fn used(&mut self) {
        let now = Instant::now();
        let used = now.saturating_duration_since(self.opened).as_millis();
        self.signs.used.store(u64::try_from(used).unwrap_or(u64::MAX), Ordering::Relaxed);
        if self.welcome {
            self.timer.as_mut().reset(now + self.idle);
        }
    }

    /// Goes on with the handshake, if there is one, until it is over.
    fn greeted(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Stream::Greeting(greeting) = &mut self.stream {
            let (step, refused) = heard(|| Pin::new(&mut greeting.accept).poll(cx));
            if let Some(refused) = refused {
                let _ = greeting.refusals.try_send((self.guest.address, refused));
            }
            let stream = ready!(step)?;
            if let Some(serial) = serial_of(stream.get_ref().1) {
                let _ = self.guest.certificate.set(serial);
            }
            self.stream = Stream::Secret(Box::new(stream));
        }
        Poll::Ready(Ok(()))
    }

    fn after<T>(&mut self, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if matches!(result, Poll::Ready(Ok(_))) {
            self.used();
        }
        result
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        lock(&self.guest.guests).leave(self.guest.number);
    }
}

/// Asks whichever stream it is; [`Connection::greeted`] comes before.
macro_rules! ask {
    ($connection:expr, $method:ident $(, $argument:expr)*) => {
        match &mut $connection.stream {
            Stream::Plain(stream) => Pin::new(stream).$method($($argument),*),
            Stream::Secret(stream) => Pin::new(stream.as_mut()).$method($($argument),*),
            Stream::Greeting(_) => Poll::Pending,
        }
    };
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.check(cx)?;
        ready!(this.greeted(cx))?;
        let result = ask!(this, poll_read, cx, buffer);
        this.after(result)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.check(cx)?;
        ready!(this.greeted(cx))?;
        let result = ask!(this, poll_write, cx, bytes);
        this.after(result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.check(cx)?;
        ready!(this.greeted(cx))?;
        let result = ask!(this, poll_write_vectored, cx, slices);
        this.after(result)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Greeting(_) => false,
            Stream::Secret(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.greeted(cx))?;
        ask!(this, poll_flush, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if matches!(this.stream, Stream::Greeting(_)) {
            // Nothing was said that has to be ended.
            return Poll::Ready(Ok(()));
        }
        ask!(this, poll_shutdown, cx)
    }
}
