//! A socket of packets between this process and a child: what is sent at once arrives at once and
//! whole, whoever else sends, and the end of the other side is seen.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

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

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
