//! A socket of packets between this process and a child: what is sent at once arrives at once and
//! whole, whoever else sends, and the end of the other side is seen.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

/// Descriptors that go with one packet, at most.
const MOST_PASSED: usize = 3;

/// One end of a pair of connected sockets. Closed on exec, unless passed on purpose.
#[derive(Debug)]
pub struct PacketSocket(OwnedFd);

impl PacketSocket {
    /// Two ends of one connection.
    ///
    /// # Errors
    /// Those of `socketpair`.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        Ok((Self(one), Self(other)))
    }

    /// Sends one packet; waits while the other end has too many unread.
    ///
    /// # Errors
    /// Those of `send`: the other end is gone, or the packet is longer than the system takes (about
    /// 200 KiB).
    pub fn send(&self, packet: &[u8]) -> io::Result<()> {
        loop {
            match rustix::net::send(&self.0, packet, SendFlags::NOSIGNAL) {
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits for a packet of at most `most` bytes, the rest of a longer one is lost; `None` when
    /// all other ends are closed.
    ///
    /// # Errors
    /// Those of `recv`.
    pub fn receive(&self, most: usize) -> io::Result<Option<Vec<u8>>> {
        let mut packet = vec![0; most];
        loop {
            match rustix::net::recv(&self.0, packet.as_mut_slice(), RecvFlags::empty()) {
                Ok((0, _)) => return Ok(None),
                Ok((length, _)) => {
                    packet.truncate(length);
                    return Ok(Some(packet));
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl PacketSocket {
    /// Sends one packet with copies of at most three descriptors.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_with(&self, packet: &[u8], passed: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_PASSED))];
        let mut along = SendAncillaryBuffer::new(&mut space);
        if !along.push(SendAncillaryMessage::ScmRights(passed)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let packet = [IoSlice::new(packet)];
        loop {
            match rustix::net::sendmsg(&self.0, &packet, &mut along, SendFlags::NOSIGNAL) {
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits for a packet as [`receive`](Self::receive) does, and takes the descriptors that came along.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn receive_with(&self, most: usize) -> io::Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
        let mut packet = vec![0; most];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_PASSED))];
        let mut along = RecvAncillaryBuffer::new(&mut space);
        let length = loop {
            let mut into = [IoSliceMut::new(&mut packet)];
            let flags = RecvFlags::CMSG_CLOEXEC;
            match rustix::net::recvmsg(&self.0, &mut into, &mut along, flags) {
                Ok(received) => break received.bytes,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        };
        let mut passed = Vec::new();
        for message in along.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                passed.extend(descriptors);
            }
        }
        packet.truncate(length);
        Ok((length > 0).then_some((packet, passed)))
    }

    /// Waits until there is a packet, or the end of the other side, for at most `limit`; whether there is.
    ///
    /// # Errors
    /// Those of `poll`.
    pub fn waits_for_packet(&self, limit: Duration) -> io::Result<bool> {
        let end = Instant::now() + limit;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).unwrap_or_default();
            match poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&left)) {
                Ok(ready) => return Ok(ready > 0),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl From<OwnedFd> for PacketSocket {
    /// An end that another process made.
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_come_along() {
        let (ours, theirs) = PacketSocket::pair().unwrap();
        assert!(!ours.waits_for_packet(Duration::ZERO).unwrap());
        let (reading, writing) = std::io::pipe().unwrap();
        theirs.send_with(b"with", &[writing.as_fd()]).unwrap();
        assert!(ours.waits_for_packet(Duration::from_secs(60)).unwrap());
        let (packet, mut passed) = ours.receive_with(100).unwrap().unwrap();
        assert_eq!((packet.as_slice(), passed.len()), (&b"with"[..], 1));
        drop((writing, theirs));
        let mut writing = std::fs::File::from(passed.remove(0));
        std::io::Write::write_all(&mut writing, b"through").unwrap();
        drop(writing);
        assert_eq!(std::io::read_to_string(reading).unwrap(), "through");
        assert!(ours.receive_with(100).unwrap().is_none());
    }

    #[test]
    fn packets_keep_their_borders_and_the_end_is_seen() {
        let (ours, theirs) = PacketSocket::pair().unwrap();
        theirs.send(b"one").unwrap();
        theirs.send(b"another").unwrap();
        assert_eq!(ours.receive(100).unwrap().unwrap(), b"one");
        assert_eq!(ours.receive(100).unwrap().unwrap(), b"another");
        drop(theirs);
        assert_eq!(ours.receive(100).unwrap(), None);
        assert!(ours.send(b"x").is_err());
    }
}
