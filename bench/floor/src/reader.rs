//! A thread that empties the subscribers' sockets.

use std::io;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Between two rounds. Nobody waits on a socket, so the sender never pays for waking anybody.
const PAUSE: Duration = Duration::from_micros(200);

/// Do `work` while another thread reads all `sinks`.
pub fn while_reading<T>(sinks: &[UdpSocket], work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    sinks.iter().try_for_each(|each| each.set_nonblocking(true))?;
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                sinks.iter().for_each(empty);
                thread::sleep(PAUSE);
            }
        });
        let result = work();
        is_over.store(true, Ordering::Relaxed);
        result
    })
}

/// Only the first byte of each is copied, so that one thread keeps up with another that sends.
fn empty(sink: &UdpSocket) {
    while sink.recv(&mut [0]).is_ok() {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system;

    #[test]
    fn sockets_are_empty_afterwards_and_errors_come_through() {
        let (sink, address) = system::socket().unwrap();
        let (outlet, _) = system::socket().unwrap();
        let failed = while_reading(std::slice::from_ref(&sink), || {
            outlet.send_to(b"datagram", address)?;
            thread::sleep(Duration::from_millis(50));
            Err::<(), _>(io::Error::other("over"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "over");
        assert_eq!(sink.recv(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
