//! The system calls, and all the `unsafe` that they take. What goes in and out are slices and numbers, checked here.
//!
//! The structs of a call are made anew for each on the stack, so that no pointer outlives it.

use std::io;
use std::mem;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use crate::plan::Message;

/// Messages of one call.
pub const MESSAGES: usize = 64;
/// Room for one datagram that comes in. What peers send fits an Ethernet frame; what is longer is cut.
pub const DATAGRAM_BYTES: usize = 2048;

/// What a datagram may have waited. Beyond that the wall clock was set meanwhile, and the age is not known.
const MAX_AGE: Duration = Duration::from_secs(5);

/// One datagram that came in.
#[derive(Clone, Copy, Debug)]
pub struct Datagram {
    /// Where from.
    pub from: SocketAddr,
    /// How much of its slot it fills.
    pub bytes: usize,
    /// The wall clock when it came, since 1970, if the system says so.
    pub stamp: Option<Duration>,
}

impl Datagram {
    /// For how many seconds it has waited, by the wall clock now; 0 where that is not known.
    pub fn age(&self, wall: Duration) -> f64 {
        let age = self.stamp.and_then(|stamp| wall.checked_sub(stamp)).unwrap_or_default();
        if age <= MAX_AGE {
            age.as_secs_f64()
        } else {
            0.0
        }
    }
}

/// Room for control messages, aligned as the macros want it: one u16 or one timespec, and to spare.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; 64]);

/// An address as the kernel takes it.
#[repr(C)]
#[derive(Clone, Copy)]
union Name {
    family: libc::sa_family_t,
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

struct Tables {
    names: [Name; MESSAGES],
    pieces: [libc::iovec; MESSAGES],
    controls: [Control; MESSAGES],
    headers: [libc::mmsghdr; MESSAGES],
}

impl Tables {
    fn new() -> Self {
        // SAFETY: all of it are integers and raw pointers, for which zero is a value.
        unsafe { mem::zeroed() }
    }
}

/// Send messages that lie in `arena`, at most `MESSAGES` of them; how many were taken, or why the first was not.
pub fn send(socket: BorrowedFd, arena: &[u8], messages: &[Message]) -> io::Result<usize> {
    let mut tables = Tables::new();
    let Tables { names, pieces, controls, headers } = &mut tables;
    let count = messages.len().min(MESSAGES);
    for (at, message) in messages[..count].iter().enumerate() {
        let piece = &arena[message.start..message.end];
        // The kernel only reads from it.
        pieces[at] = libc::iovec { iov_base: piece.as_ptr().cast_mut().cast(), iov_len: piece.len() };
        let header = &mut headers[at].msg_hdr;
        header.msg_namelen = set_name(&mut names[at], message.to);
        header.msg_name = (&raw mut names[at]).cast();
        header.msg_iov = &raw mut pieces[at];
        header.msg_iovlen = 1;
        if piece.len() > message.segment {
            ask_to_cut(header, &mut controls[at], message.segment)?;
        }
    }
    // SAFETY: `count` headers are filled, and all that they point to (names, pieces, controls, arena) outlives the call.
    let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count as _, libc::MSG_DONTWAIT) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Receive what is there, at most `limit` datagrams and `MESSAGES` in any case, into slots of `DATAGRAM_BYTES` of `buffer`.
/// `out` is emptied and filled anew.
pub fn receive(socket: BorrowedFd, buffer: &mut [u8], limit: usize, out: &mut Vec<Datagram>) -> io::Result<()> {
    out.clear();
    let mut tables = Tables::new();
    let Tables { names, pieces, controls, headers } = &mut tables;
    let count = limit.min(MESSAGES).min(buffer.len() / DATAGRAM_BYTES);
    for (at, slot) in buffer.chunks_exact_mut(DATAGRAM_BYTES).take(count).enumerate() {
        pieces[at] = libc::iovec { iov_base: slot.as_mut_ptr().cast(), iov_len: slot.len() };
        let header = &mut headers[at].msg_hdr;
        header.msg_name = (&raw mut names[at]).cast();
        header.msg_namelen = mem::size_of::<Name>() as _;
        header.msg_iov = &raw mut pieces[at];
        header.msg_iovlen = 1;
        header.msg_control = (&raw mut controls[at]).cast();
        header.msg_controllen = mem::size_of::<Control>() as _;
    }
    let nothing = std::ptr::null_mut();
    // SAFETY: `count` headers are filled with pointers to room of the lengths given, all of which outlives the call; the slots
    // of the buffer do not overlap.
    let got = unsafe {
        libc::recvmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count as _, libc::MSG_DONTWAIT as _, nothing)
    };
    let got = usize::try_from(got).map_err(|_| io::Error::last_os_error())?;
    for at in 0..got {
        let bytes = (headers[at].msg_len as usize).min(DATAGRAM_BYTES);
        out.push(Datagram { from: address(&names[at]), bytes, stamp: stamp(&headers[at].msg_hdr) });
    }
    Ok(())
}

/// Whether this kernel cuts messages into datagrams.
pub fn can_segment(socket: BorrowedFd) -> bool {
    let mut value: libc::c_int = 0;
    let mut length = mem::size_of_val(&value) as libc::socklen_t;
    // SAFETY: value and length are valid for writing, and `length` says how much.
    let result = unsafe {
        let value = (&raw mut value).cast();
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_UDP, libc::UDP_SEGMENT, value, &raw mut length)
    };
    result == 0
}

/// The wall clock, as the kernel's stamps have it.
pub fn wall_clock() -> Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
}

fn ask_to_cut(header: &mut libc::msghdr, room: &mut Control, segment: usize) -> io::Result<()> {
    let segment = u16::try_from(segment).map_err(|_| io::Error::from_raw_os_error(libc::EMSGSIZE))?;
    header.msg_control = room.0.as_mut_ptr().cast();
    // SAFETY: the room, longer than CMSG_SPACE of a u16 and aligned, is what the header points to, so the first control
    // message and its u16 lie inside.
    unsafe {
        header.msg_controllen = libc::CMSG_SPACE(mem::size_of::<u16>() as _) as _;
        let control = libc::CMSG_FIRSTHDR(header);
        (*control).cmsg_level = libc::SOL_UDP;
        (*control).cmsg_type = libc::UDP_SEGMENT;
        (*control).cmsg_len = libc::CMSG_LEN(mem::size_of::<u16>() as _) as _;
        libc::CMSG_DATA(control).cast::<u16>().write_unaligned(segment);
    }
    Ok(())
}

/// The stamp among the control messages of a header that `recvmmsg` has filled.
fn stamp(header: &libc::msghdr) -> Option<Duration> {
    // SAFETY: the kernel has written well-formed control messages and set their whole length; the macros stay inside it, and a
    // timespec is read only where one was written.
    unsafe {
        let mut control = libc::CMSG_FIRSTHDR(header);
        while !control.is_null() {
            if (*control).cmsg_level == libc::SOL_SOCKET && (*control).cmsg_type == libc::SCM_TIMESTAMPNS {
                let time = libc::CMSG_DATA(control).cast::<libc::timespec>().read_unaligned();
                return Some(Duration::new(u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?));
            }
            control = libc::CMSG_NXTHDR(header, control);
        }
    }
    None
}

/// Write an address; returns its length.
fn set_name(name: &mut Name, to: SocketAddr) -> libc::socklen_t {
    match to {
        SocketAddr::V4(to) => {
            name.v4 = libc::sockaddr_in {
                sin_family: libc::AF_INET as _,
                sin_port: to.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(to.ip().octets()) },
                sin_zero: [0; 8],
            };
            mem::size_of::<libc::sockaddr_in>() as _
        }
        SocketAddr::V6(to) => {
            name.v6 = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as _,
                sin6_port: to.port().to_be(),
                sin6_flowinfo: to.flowinfo(),
                sin6_addr: libc::in6_addr { s6_addr: to.ip().octets() },
                sin6_scope_id: to.scope_id(),
            };
            mem::size_of::<libc::sockaddr_in6>() as _
        }
    }
}

/// Read an address that the kernel has written, without scope and flow.
fn address(name: &Name) -> SocketAddr {
    // SAFETY: the union was zeroed before it was written to, and every member is plain integers, so any of them may be read;
    // the family, which is that of the socket, says which has a meaning.
    unsafe {
        if libc::c_int::from(name.family) == libc::AF_INET6 {
            (Ipv6Addr::from(name.v6.sin6_addr.s6_addr), u16::from_be(name.v6.sin6_port)).into()
        } else {
            (Ipv4Addr::from(name.v4.sin_addr.s_addr.to_ne_bytes()), u16::from_be(name.v4.sin_port)).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    fn socket(address: &str) -> (UdpSocket, SocketAddr) {
        let socket = UdpSocket::bind(address).unwrap();
        let address = socket.local_addr().unwrap();
        (socket, address)
    }

    fn got(socket: &UdpSocket, slots: usize, limit: usize) -> Vec<(SocketAddr, Vec<u8>)> {
        let (mut buffer, mut out) = (vec![0; slots * DATAGRAM_BYTES], Vec::new());
        receive(socket.as_fd(), &mut buffer, limit, &mut out).unwrap();
        let slots = buffer.chunks(DATAGRAM_BYTES);
        out.iter().zip(slots).map(|(each, slot)| (each.from, slot[..each.bytes].to_vec())).collect()
    }

    #[test]
    fn a_message_is_cut_and_datagrams_keep_their_order_and_origin() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            if UdpSocket::bind(address).is_err() {
                continue; // no IPv6 here
            }
            let ((outlet, from), (sink, to)) = (socket(address), socket(address));
            let messages = [Message { to, start: 0, end: 5, segment: 2 }, Message { to, start: 5, end: 7, segment: 2 }];
            if can_segment(outlet.as_fd()) {
                assert_eq!(send(outlet.as_fd(), b"aabbcdd", &messages).unwrap(), 2);
                let expected = [b"aa".as_slice(), b"bb", b"c", b"dd"].map(|data| (from, data.to_vec()));
                assert_eq!(got(&sink, 8, 8), expected);
            }
        }
    }

    #[test]
    fn limits_are_kept_and_long_datagrams_cut() {
        let ((outlet, _), (sink, to)) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
        for length in [3000, 1, 2, 3] {
            outlet.send_to(&vec![7; length], to).unwrap();
        }
        let lengths = |slots, limit| got(&sink, slots, limit).iter().map(|each| each.1.len()).collect::<Vec<_>>();
        assert_eq!(lengths(8, 1), [DATAGRAM_BYTES]);
        assert_eq!(lengths(2, 8), [1, 2]);
        assert_eq!(lengths(8, 8), [3]);
        assert_eq!(lengths(8, 0).len(), 0);
    }

    #[test]
    fn an_empty_socket_says_so() {
        let (sink, _) = socket("127.0.0.1:0");
        let error = receive(sink.as_fd(), &mut [0; DATAGRAM_BYTES], 1, &mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn ages_are_known_unless_the_clock_was_set() {
        let age = |stamp: Option<f64>| {
            let from = SocketAddr::from(([127, 0, 0, 1], 1));
            Datagram { from, bytes: 0, stamp: stamp.map(Duration::from_secs_f64) }.age(Duration::from_secs(1000))
        };
        for (stamp, expected) in [(999.5, 0.5), (1000.0, 0.0), (995.0, 5.0), (994.0, 0.0), (1001.0, 0.0)] {
            assert_eq!(age(Some(stamp)), expected);
        }
        assert_eq!(age(None), 0.0);
    }

    #[test]
    fn stamps_are_there_where_they_were_asked_for() {
        let ((outlet, _), (sink, to)) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
        let (mut buffer, mut out) = (vec![0; DATAGRAM_BYTES], Vec::new());
        outlet.send_to(b"x", to).unwrap();
        receive(sink.as_fd(), &mut buffer, 1, &mut out).unwrap();
        assert_eq!(out[0].stamp, None);
        let on: libc::c_int = 1;
        // SAFETY: the option's value is the integer pointed to.
        let result = unsafe {
            let value = (&raw const on).cast();
            libc::setsockopt(
                sink.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_TIMESTAMPNS,
                value,
                mem::size_of_val(&on) as _,
            )
        };
        assert_eq!(result, 0);
        outlet.send_to(b"x", to).unwrap();
        receive(sink.as_fd(), &mut buffer, 1, &mut out).unwrap();
        let age = wall_clock().saturating_sub(out[0].stamp.unwrap());
        assert!(age < Duration::from_secs(5), "{age:?}");
    }
}
