//! Children that execute no program.
//!
//! To start this program takes milliseconds of a processor: a large file is mapped, and its addresses are
//! put right. Who needs a hundred short-lived processes of it, each as another user, starts one that only
//! divides itself, once for each ([`Nursery`]). The children are not its own but those of its maker, who
//! waits for them, and with whom they end.
//!
//! Invariants: the process that divides itself has one thread, and nothing in its memory that a child may
//! not see; a child that cannot become what it is to be ends before it does anything.

use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use super::child::ChildSetup;
use super::offspring::{Offspring, Piped};
use super::{Command, Resource, Signal, check, inherited_fd, kill};
use crate::packet::PacketSocket;
use crate::user::Identity;

/// Longest packet taken, bytes.
const LONGEST: usize = 64 << 10;
/// How long a child may take to be there, and the nursery to end.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between the fields of a wish.
const BORDER: u8 = 0;

/// What a child is to be.
#[derive(Clone, Debug)]
pub struct Wish<'a> {
    /// Its user; who is not root can have none but himself.
    pub user: &'a Identity,
    /// How many processes its user may have, if that is limited.
    pub processes: Option<u64>,
    /// What its environment has beside that of the nursery.
    pub environment: &'a [(&'a str, &'a OsStr)],
}

/// The maker's end. The process ends with it.
#[derive(Debug)]
pub struct Nursery {
    socket: PacketSocket,
    process: Offspring,
}

impl Nursery {
    /// Starts `command`, which is to call [`serve`] with the number that it gets as its last argument.
    /// The children end with the thread that calls this.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        let (socket, theirs) = PacketSocket::pair()?;
        let fd = theirs.as_fd().as_raw_fd();
        command.arg(fd.to_string()).pass_fds(&[fd]).die_with_parent();
        Ok(Self { socket, process: command.spawn_apart(Piped::default())? })
    }

    /// Has a child made, with pipes for its standard streams.
    ///
    /// # Errors
    /// When none is made in time; the nursery is of no use any more then.
    pub fn bear(&self, wish: &Wish<'_>) -> io::Result<Offspring> {
        let (input, ours) = pipe()?;
        let (output, theirs) = pipe()?;
        let (errors, complaints) = pipe()?;
        let streams = [input.as_fd(), theirs.as_fd(), complaints.as_fd()];
        self.socket.send_with(&worded(wish), &streams)?;
        if !self.socket.waits_for_packet(PATIENCE)? {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let answer = self.socket.receive(LONGEST)?.ok_or(io::ErrorKind::BrokenPipe)?;
        let answer: i32 = number(&answer)?;
        let pid = u32::try_from(answer).map_err(|_| io::Error::from_raw_os_error(-answer))?;
        Ok(Offspring::adopted(pid, ours, output, errors))
    }

    /// Ends the process; children go on.
    pub fn end(self) {
        let Self { socket, mut process } = self;
        drop(socket);
        if !matches!(process.wait_within(PATIENCE), Ok(Some(_))) {
            let _ = kill(process.id(), Signal::SIGKILL);
            let _ = process.wait();
        }
    }
}

/// Both ends of a pipe, closed on exec: that for reading, and that for writing.
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?)
}

/// Who comes back from [`serve`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// A child, which is what was wished for.
    Born,
    /// The nursery itself: nobody wishes for anything any more.
    Over,
}

/// Makes children, as the process of a [`Nursery`] whose socket has the number `fd`. To be called by the
/// only thread of a process, before it has read from its standard input.
///
/// # Errors
/// When the socket is none, there are other threads, or it breaks.
pub fn serve(fd: RawFd) -> io::Result<Fate> {
    super::forbid_inspection()?;
    let socket = PacketSocket::from(inherited_fd(fd)?);
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::other("a process of several threads cannot divide itself"));
    }
    let parent = std::os::unix::process::parent_id();
    while let Some((wish, streams)) = socket.receive_with(LONGEST)? {
        let wanted = read(&wish, parent)?;
        let streams: [OwnedFd; 3] =
            streams.try_into().map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        match divide() {
            Ok(0) => {
                drop(socket);
                become_it(&wanted, streams);
                return Ok(Fate::Born);
            }
            Ok(pid) => socket.send(pid.to_string().as_bytes())?,
            Err(error) => {
                let code = error.raw_os_error().unwrap_or(libc::EAGAIN);
                socket.send((-code).to_string().as_bytes())?;
            }
        }
    }
    Ok(Fate::Over)
}

/// Divides this process; the child, which sees 0, is one of this process's parent.
fn divide() -> io::Result<libc::pid_t> {
    let flags = libc::CLONE_PARENT | libc::SIGCHLD;
    // SAFETY: without CLONE_VM the child has memory of its own, and there is no other thread whose locks
    // it could inherit; a stack of null is that of this one. It gives no pointer to the kernel.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags as libc::c_long, 0, 0, 0, 0) };
    check(libc::c_int::try_from(pid).map_err(io::Error::other)?)
}

/// What is read from a wish.
struct Wanted {
    setup: ChildSetup,
    environment: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Makes this process what it is to be, or ends it, saying why where its last words are heard.
fn become_it(wanted: &Wanted, streams: [OwnedFd; 3]) {
    let become_all = || {
        for (number, stream) in (0..).zip(&streams) {
            // SAFETY: dup2 takes integers only.
            check(unsafe { libc::dup2(stream.as_raw_fd(), number) })?;
        }
        wanted.setup.apply()?;
        // A reader that is gone is an error to this program, not its end.
        // SAFETY: signal takes integers only here.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
        Ok::<(), io::Error>(())
    };
    if let Err(error) = become_all() {
        let _ = writeln!(io::stderr(), "it cannot be what it is to be: {error}");
        // SAFETY: _exit takes an integer and runs nothing of ours.
        unsafe { libc::_exit(127) };
    }
    for (key, value) in &wanted.environment {
        // SAFETY: this process has one thread, as `serve` made sure.
        unsafe { std::env::set_var(OsStr::from_bytes(key), OsStr::from_bytes(value)) };
    }
}

/// A wish as a packet: user, group, groups, most processes, environment.
fn worded(wish: &Wish<'_>) -> Vec<u8> {
    let Wish { user, processes, environment } = wish;
    let list = user.groups.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    let becomes = crate::user::is_root();
    let who = if becomes { format!("{}\0{}\0{list}", user.uid, user.gid) } else { "\0\0".into() };
    let mut packet = who.into_bytes();
    packet.push(BORDER);
    packet.extend(processes.map(|most| most.to_string()).unwrap_or_default().bytes());
    for (key, value) in *environment {
        packet.push(BORDER);
        packet.extend_from_slice(key.as_bytes());
        packet.push(b'=');
        packet.extend_from_slice(value.as_bytes());
    }
    packet
}

/// The same as what a child of `parent` is to do with itself.
fn read(packet: &[u8], parent: u32) -> io::Result<Wanted> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    let mut fields = packet.split(|byte| *byte == BORDER);
    let mut next = || fields.next().ok_or_else(invalid);
    let (uid, gid, groups, processes) = (next()?, next()?, next()?, next()?);
    let groups = groups.split(|byte| *byte == b',').filter(|field| !field.is_empty());
    let mut setup = ChildSetup {
        new_session: true,
        parent_death: Some(libc::SIGTERM),
        umask: Some(0o022),
        no_new_privileges: true,
        parent: libc::pid_t::try_from(parent).map_err(io::Error::other)?,
        ..ChildSetup::default()
    };
    if !uid.is_empty() {
        let groups = groups.map(number).collect::<io::Result<_>>()?;
        setup.identity = Some((number(uid)?, number(gid)?, groups));
    }
    if !processes.is_empty() {
        let most = number(processes)?;
        let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
        setup.limits.push((Resource::RLIMIT_NPROC, limit));
    }
    let pair = |field: &[u8]| {
        let at = field.iter().position(|byte| *byte == b'=')?;
        Some((field[..at].to_vec(), field[at + 1..].to_vec()))
    };
    let environment =
        fields.map(|field| pair(field).ok_or_else(invalid)).collect::<io::Result<_>>()?;
    Ok(Wanted { setup, environment })
}

fn number<T: std::str::FromStr>(digits: &[u8]) -> io::Result<T> {
    let text = std::str::from_utf8(digits).ok();
    text.and_then(|text| text.parse().ok()).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_read_as_it_was_worded() {
        let user = Identity {
            uid: 1001,
            gid: 1002,
            groups: vec![1002, 7],
            name: "slapuser0".into(),
            home: "/p".into(),
        };
        let home = OsStr::from_bytes(b"/p=\xff");
        let environment = [("HOME", home), ("EMPTY", OsStr::new(""))];
        let wish = Wish { user: &user, processes: Some(321), environment: &environment };
        let wanted = read(&worded(&wish), 5).unwrap();
        let becomes = crate::user::is_root().then(|| (1001, 1002, vec![1002, 7]));
        assert_eq!(wanted.setup.identity, becomes, "who is not root can become nobody else");
        assert_eq!(wanted.setup.limits[0].1.rlim_max, 321);
        assert_eq!(wanted.environment[0], (b"HOME".to_vec(), b"/p=\xff".to_vec()));
        assert_eq!(wanted.environment[1].1, b"");
        let free = read(&worded(&Wish { processes: None, environment: &[], ..wish }), 5).unwrap();
        assert!(free.setup.limits.is_empty() && free.environment.is_empty());
        for odd in [&b""[..], b"1\0x\0\0", b"\0\0\0\0no pair"] {
            assert!(read(odd, 5).is_err(), "{odd:?}");
        }
    }
}
