//! Sending all messages of a batch, whatever happens to some of them.

use std::io;
use std::os::fd::BorrowedFd;

use crate::plan::Message;
use crate::system::{self, MESSAGES};

/// Datagrams that did not leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// The socket takes no more at present.
    pub full: usize,
    /// Anything else: no route, too long, a destination that makes no sense.
    pub unreachable: usize,
}

/// Send these messages, which lie in `arena`.
pub fn transmit(socket: BorrowedFd, arena: &[u8], messages: &[Message]) -> Lost {
    let mut lost = Lost::default();
    let mut rest = messages;
    while let Some(first) = rest.first() {
        let taken = match system::send(socket, arena, &rest[..rest.len().min(MESSAGES)]) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) => {
                fail(socket, arena, first, &error, &mut lost);
                1
            }
        };
        rest = &rest[taken..];
    }
    lost
}

/// A message that fails whole may still go one by one: its datagrams are above the path's MTU, or the device cannot cut.
fn fail(socket: BorrowedFd, arena: &[u8], message: &Message, error: &io::Error, lost: &mut Lost) {
    let is_full = matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM));
    let datagrams = message.datagrams();
    if is_full {
        lost.full += datagrams;
    } else if datagrams == 1 {
        lost.unreachable += 1;
    } else {
        let singles: Vec<_> = message.singles().collect();
        let more = transmit(socket, arena, &singles);
        lost.full += more.full;
        lost.unreachable += more.unreachable;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{SocketAddr, UdpSocket};
    use std::os::fd::AsFd;
    use std::time::Duration;

    fn pair() -> (UdpSocket, UdpSocket, SocketAddr) {
        let sink = UdpSocket::bind("127.0.0.1:0").unwrap();
        sink.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let address = sink.local_addr().unwrap();
        (UdpSocket::bind("127.0.0.1:0").unwrap(), sink, address)
    }

    fn arrived(sink: &UdpSocket, count: usize) -> Vec<usize> {
        let mut datagram = vec![0; 70_000];
        (0..count).map(|_| sink.recv(&mut datagram).unwrap()).collect()
    }

    #[test]
    fn more_messages_than_one_call_takes_all_leave() {
        let (outlet, sink, to) = pair();
        let messages: Vec<_> = (0..150).map(|at| Message { to, start: 0, end: at + 1, segment: at + 1 }).collect();
        assert_eq!(transmit(outlet.as_fd(), &[0; 150], &messages), Lost::default());
        assert_eq!(arrived(&sink, 150), (1..=150).collect::<Vec<_>>());
    }

    #[test]
    fn what_cannot_leave_is_counted_and_the_others_leave() {
        let (outlet, sink, to) = pair();
        let nowhere = "127.0.0.1:0".parse().unwrap();
        let mut messages = vec![Message { to, start: 0, end: 10, segment: 10 }; 5];
        messages[1] = Message { to, start: 0, end: 70_000, segment: 70_000 };
        messages[3] = Message { to: nowhere, start: 0, end: 30, segment: 10 };
        assert_eq!(transmit(outlet.as_fd(), &[0; 70_000], &messages), Lost { full: 0, unreachable: 4 });
        assert_eq!(arrived(&sink, 3), [10, 10, 10]);
    }

    #[test]
    fn datagrams_above_the_mtu_go_one_by_one() {
        let (outlet, sink, to) = pair();
        let message = Message { to, start: 0, end: 140_000, segment: 64_000 }; // more than a message may be
        assert_eq!(transmit(outlet.as_fd(), &[0; 140_000], &[message]), Lost::default());
        assert_eq!(arrived(&sink, 3), [64_000, 64_000, 12_000]);
    }

    #[test]
    fn another_family_is_unreachable() {
        let (outlet, _, _) = pair();
        let to = "[2001:db8::1]:9".parse().unwrap();
        let message = Message { to, start: 0, end: 25, segment: 10 };
        assert_eq!(transmit(outlet.as_fd(), &[0; 25], &[message]), Lost { full: 0, unreachable: 3 });
    }
}
