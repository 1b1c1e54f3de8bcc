//! A timer of Linux that becomes readable (timerfd_create(2)), finer than the milliseconds that epoll_wait(2) counts.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// A timer that was not set.
pub fn create() -> io::Result<OwnedFd> {
    // SAFETY: the call takes no pointers.
    let timer = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_NONBLOCK | libc::TFD_CLOEXEC) };
    if timer < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was just opened, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(timer) })
}

/// Make it readable once, so much later; until then it is not.
pub fn set(timer: BorrowedFd, after: Duration) -> io::Result<()> {
    let after = after.max(Duration::from_nanos(1)); // zero would stop it
    let zero = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let value = libc::timespec { tv_sec: after.as_secs() as _, tv_nsec: after.subsec_nanos() as _ };
    let times = libc::itimerspec { it_interval: zero, it_value: value };
    // SAFETY: the pointer is to a struct that outlives the call; the old value is not asked for.
    let result = unsafe { libc::timerfd_settime(timer.as_raw_fd(), 0, &raw const times, std::ptr::null_mut()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::time::Instant;

    fn wait(timer: BorrowedFd, milliseconds: i32) -> bool {
        let mut poll = libc::pollfd { fd: timer.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one struct, as said.
        unsafe { libc::poll(&raw mut poll, 1, milliseconds) == 1 }
    }

    #[test]
    fn it_becomes_readable_once_and_setting_it_takes_that_back() {
        let timer = create().unwrap();
        assert!(!wait(timer.as_fd(), 0));
        let start = Instant::now();
        set(timer.as_fd(), Duration::from_micros(300)).unwrap();
        assert!(wait(timer.as_fd(), 1000));
        assert!(start.elapsed() >= Duration::from_micros(300));
        set(timer.as_fd(), Duration::from_secs(100)).unwrap();
        assert!(!wait(timer.as_fd(), 0));
        set(timer.as_fd(), Duration::ZERO).unwrap();
        assert!(wait(timer.as_fd(), 1000));
    }
}
