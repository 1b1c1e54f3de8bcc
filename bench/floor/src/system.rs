//! The calls to the operating system that the standard library lacks; all the `unsafe` of this program.

use std::io;
use std::mem;
use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;

/// Messages of one `sendmmsg`.
pub const MESSAGES: usize = 64;

/// One message: a piece of the arena and where it goes; `segment` cuts it into datagrams of that size, 0 leaves it whole.
#[derive(Clone, Copy)]
pub struct Message {
    pub to: SocketAddrV4,
    pub start: usize,
    pub end: usize,
    pub segment: usize,
}

/// Space for one control message, aligned as the kernel's macros want it.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; CONTROL]);
// SAFETY: a computation on a number.
const CONTROL: usize = unsafe { libc::CMSG_SPACE(mem::size_of::<u16>() as u32) } as usize;

/// Send at most `MESSAGES` messages that lie in `arena`. What the socket does not take is lost.
pub fn send(socket: &UdpSocket, arena: &[u8], messages: &[Message]) {
    // SAFETY: these structs are plain numbers and pointers, for which zero is a value.
    let (mut names, mut pieces, mut headers): (
        [libc::sockaddr_in; MESSAGES],
        [libc::iovec; MESSAGES],
        [libc::mmsghdr; MESSAGES],
    ) = unsafe { mem::zeroed() };
    let mut controls = [Control([0; CONTROL]); MESSAGES];
    let count = messages.len().min(MESSAGES);
    for at in 0..count {
        let message = &messages[at];
        names[at] = name(message.to);
        let piece = &arena[message.start..message.end];
        pieces[at] = libc::iovec { iov_base: piece.as_ptr() as *mut _, iov_len: piece.len() };
        let header = &mut headers[at].msg_hdr;
        header.msg_name = (&raw mut names[at]).cast();
        header.msg_namelen = mem::size_of::<libc::sockaddr_in>() as u32;
        header.msg_iov = &raw mut pieces[at];
        header.msg_iovlen = 1;
        if message.segment != 0 {
            header.msg_control = controls[at].0.as_mut_ptr().cast();
            header.msg_controllen = CONTROL as _;
            // SAFETY: the control buffer has room for one header and a u16, so the first header is inside it.
            unsafe {
                let control = libc::CMSG_FIRSTHDR(header);
                (*control).cmsg_level = libc::SOL_UDP;
                (*control).cmsg_type = libc::UDP_SEGMENT;
                (*control).cmsg_len = libc::CMSG_LEN(mem::size_of::<u16>() as u32) as _;
                libc::CMSG_DATA(control).cast::<u16>().write_unaligned(message.segment as u16);
            }
        }
    }
    let mut sent = 0;
    while sent < count {
        // SAFETY: headers from `sent` to `count` are filled, and all that they point to lives to the end of this function.
        let result = unsafe {
            libc::sendmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr().add(sent),
                (count - sent) as u32,
                libc::MSG_DONTWAIT,
            )
        };
        sent += result.max(1) as usize;
    }
}

fn name(to: SocketAddrV4) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as _,
        sin_port: to.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(to.ip().octets()) },
        sin_zero: [0; 8],
    }
}

/// A socket on loopback, and its address.
pub fn socket() -> io::Result<(UdpSocket, SocketAddrV4)> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    match socket.local_addr()? {
        SocketAddr::V4(address) => Ok((socket, address)),
        SocketAddr::V6(_) => Err(io::ErrorKind::AddrNotAvailable.into()),
    }
}

/// Give the socket the smallest receive queue there is.
pub fn shrink(socket: &UdpSocket) -> io::Result<()> {
    let least: libc::c_int = 1;
    // SAFETY: the option's value is the integer pointed to, of the size given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVBUF,
            (&raw const least).cast(),
            mem::size_of_val(&least) as _,
        )
    };
    check(result)
}

/// Whether the kernel knows segmentation offload.
pub fn can_segment() -> io::Result<bool> {
    let (socket, _) = socket()?;
    let mut value: libc::c_int = 0;
    let mut length = mem::size_of_val(&value) as libc::socklen_t;
    // SAFETY: value and length are valid for writing, and `length` says how much.
    let result = unsafe {
        let value = (&raw mut value).cast();
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_UDP, libc::UDP_SEGMENT, value, &raw mut length)
    };
    Ok(result == 0)
}

/// Raise the limit of open files as far as is allowed.
pub fn allow_many_files() -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the struct is valid for reading and writing.
    unsafe {
        check(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit))?;
        limit.rlim_cur = limit.rlim_max;
        check(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit))
    }
}

/// Seconds of user and of system time that this thread has used.
pub fn cpu_seconds() -> io::Result<(f64, f64)> {
    // SAFETY: zero is a value of this struct of numbers, and the call fills it.
    let usage = unsafe {
        let mut usage: libc::rusage = mem::zeroed();
        check(libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage))?;
        usage
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 * 1e-6;
    Ok((seconds(usage.ru_utime), seconds(usage.ru_stime)))
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
