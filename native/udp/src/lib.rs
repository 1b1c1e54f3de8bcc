//! Many datagrams per system call, for `trio_server/batch.py`: `recvmmsg`, `sendmmsg` and UDP segmentation offload.
//!
//! A run of datagrams that lie end to end in one buffer becomes one message, which the kernel cuts (UDP_SEGMENT, udp(7)), and
//! up to 64 messages become one system call. Nothing here waits: what the socket does not take is counted as lost.
//!
//! `plan` turns runs into messages, `system` holds the system calls of sockets, `transmit` keeps going when one message fails,
//! `alarm` is a fine timer by which busy sockets are read, and `python` is `trio_server._udp`. Receive coalescing (UDP_GRO) is left out: publishers on real networks
//! send datagrams one by one, and their stamps, which judge the path, would be merged with them. io_uring is left out too: it
//! gains nothing on sockets that are not connected.
//!
//! The crate builds without Python (`--no-default-features`), which is how its own tests run. On other systems than Linux it
//! builds as a module that cannot be imported.

#[cfg(target_os = "linux")]
pub mod alarm;
#[cfg(target_os = "linux")]
pub mod plan;
#[cfg(target_os = "linux")]
pub mod system;
#[cfg(target_os = "linux")]
pub mod transmit;

#[cfg(all(target_os = "linux", feature = "python"))]
mod python;

#[cfg(all(not(target_os = "linux"), feature = "python"))]
#[pyo3::pymodule]
fn _udp(_: &pyo3::Bound<'_, pyo3::types::PyModule>) -> pyo3::PyResult<()> {
    Err(pyo3::exceptions::PyImportError::new_err("batched sockets are for Linux"))
}
