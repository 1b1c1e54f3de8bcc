//! `trio_server._udp`: one socket, and a timer, as Python sees them.
//!
//! The interpreter's lock is released around the system calls. A panic, should there be one, becomes a RuntimeError: PyO3's own
//! exception for it would end the process.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::time::Duration;

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};

use crate::alarm;
use crate::plan::{self, Message, Record, RECORD_BYTES};
use crate::system::{self, Datagram, DATAGRAM_BYTES, MESSAGES};
use crate::transmit::{self, Lost};

/// Addresses remembered in each direction; beyond that it starts anew.
const REMEMBERED: usize = 8192;
type Received<'py> = (Bound<'py, PyList>, Vec<f64>);

/// A bound socket with batched system calls.
#[pyclass(module = "trio_server._udp")]
struct BatchSocket {
    /// A duplicate of the caller's, so that the number cannot come to mean another file.
    socket: Option<OwnedFd>,
    local: Py<PyAny>,
    can_segment: bool,
    buffer: Vec<u8>,
    datagrams: Vec<Datagram>,
    messages: Vec<Message>,
    origins: HashMap<SocketAddr, Py<PyTuple>>,
    destinations: Destinations,
}

#[pymethods]
impl BatchSocket {
    #[new]
    fn new(fileno: i32, local: Py<PyAny>, segment: bool) -> PyResult<Self> {
        if fileno < 0 {
            return Err(PyValueError::new_err("the socket is closed"));
        }
        // SAFETY: the caller's socket is open during this call, which only duplicates it; -1, the one number that may not be
        // borrowed, is refused above.
        let socket = unsafe { BorrowedFd::borrow_raw(fileno) }.try_clone_to_owned()?;
        Ok(Self {
            can_segment: segment && system::can_segment(socket.as_fd()),
            socket: Some(socket),
            local,
            buffer: vec![0; MESSAGES * DATAGRAM_BYTES],
            datagrams: Vec::with_capacity(MESSAGES),
            messages: Vec::new(),
            origins: HashMap::new(),
            destinations: Destinations::default(),
        })
    }

    /// What has arrived, at most `limit`, and for how many seconds each has waited.
    fn receive<'py>(&mut self, py: Python<'py>, limit: usize) -> PyResult<Received<'py>> {
        guarded(|| self.receive_now(py, limit))
    }

    /// Send these runs of `arena`; the numbers of datagrams dropped because the socket was full, and for other reasons.
    fn send(&mut self, py: Python, arena: PyBuffer<u8>, runs: &Bound<PyAny>) -> PyResult<(usize, usize)> {
        guarded(|| self.send_now(py, &arena, runs))
    }

    /// The same for runs packed into records, of which those with this index of a local address are sent.
    fn send_packed(&mut self, py: Python, arena: PyBuffer<u8>, records: &[u8], local: u16) -> PyResult<(usize, usize)> {
        guarded(|| {
            let senseless = self.plan_packed(records, local, arena.len_bytes())?;
            self.transmit(py, &arena, senseless)
        })
    }

    /// Close the duplicate.
    fn close(&mut self) {
        self.socket = None;
    }
}

impl BatchSocket {
    fn receive_now<'py>(&mut self, py: Python<'py>, limit: usize) -> PyResult<Received<'py>> {
        let Self { socket: Some(socket), buffer, datagrams, .. } = self else {
            return Ok((PyList::empty(py), Vec::new()));
        };
        // An error is an empty socket, or an ICMP error of an earlier datagram: nothing to hand out in any case.
        let _ = py.detach(|| system::receive(socket.as_fd(), buffer, limit, datagrams));
        let wall = system::wall_clock();
        let ages = self.datagrams.iter().map(|each| each.age(wall)).collect();
        let out = PyList::empty(py);
        for (datagram, slot) in self.datagrams.iter().zip(self.buffer.chunks_exact(DATAGRAM_BYTES)) {
            let from = origin(py, &mut self.origins, datagram.from)?;
            out.append((&self.local, from, PyBytes::new(py, &slot[..datagram.bytes])))?;
        }
        Ok((out, ages))
    }

    fn send_now(&mut self, py: Python, arena: &PyBuffer<u8>, runs: &Bound<PyAny>) -> PyResult<(usize, usize)> {
        let senseless = self.plan(runs, arena.len_bytes())?;
        self.transmit(py, arena, senseless)
    }

    /// Send what is planned; `senseless` datagrams are lost already.
    fn transmit(&mut self, py: Python, arena: &PyBuffer<u8>, senseless: usize) -> PyResult<(usize, usize)> {
        let bytes = contents(arena)?;
        let Self { socket, messages, .. } = self;
        let Lost { full, unreachable } = match socket {
            Some(socket) => py.detach(|| transmit::transmit(socket.as_fd(), bytes, messages)),
            None => Lost { full: 0, unreachable: messages.iter().map(Message::datagrams).sum() },
        };
        Ok((full, unreachable + senseless))
    }

    /// Turn runs into messages; the number of datagrams whose destination is no address.
    fn plan(&mut self, runs: &Bound<PyAny>, arena_bytes: usize) -> PyResult<usize> {
        self.messages.clear();
        let mut lost = 0;
        for run in runs.try_iter()? {
            let run = run?.cast_into::<PyTuple>()?;
            let (start, end): (usize, usize) = (run.get_item(2)?.extract()?, run.get_item(3)?.extract()?);
            let segment: usize = run.get_item(4)?.extract()?;
            let to = self.destinations.find(run.get_item(1)?)?;
            lost += self.add(to, start, end, segment, arena_bytes)?;
        }
        Ok(lost)
    }

    fn plan_packed(&mut self, records: &[u8], local: u16, arena_bytes: usize) -> PyResult<usize> {
        self.messages.clear();
        let mut lost = 0;
        for record in records.chunks(RECORD_BYTES) {
            let record = record.try_into().map_err(|_| PyValueError::new_err("a record that is cut off"))?;
            let Record { to, start, end, segment, local: from } = Record::read(record);
            if from == local {
                lost += self.add(to, start, end, segment, arena_bytes)?;
            }
        }
        Ok(lost)
    }

    /// One run more; how many datagrams of it are lost.
    fn add(
        &mut self,
        to: Option<SocketAddr>,
        start: usize,
        end: usize,
        segment: usize,
        arena_bytes: usize,
    ) -> PyResult<usize> {
        if segment == 0 || start > end || end > arena_bytes {
            return Err(PyValueError::new_err("a run outside its arena, or without a size"));
        }
        match to {
            Some(to) => plan::add(&mut self.messages, Message { to, start, end, segment }, self.can_segment),
            None => return Ok((end - start).div_ceil(segment)),
        }
        Ok(0)
    }
}

/// A timer to wait for as for a socket.
#[pyclass(module = "trio_server._udp")]
struct Alarm {
    timer: Option<OwnedFd>,
}

#[pymethods]
impl Alarm {
    #[new]
    fn new() -> PyResult<Self> {
        Ok(Self { timer: Some(alarm::create()?) })
    }

    /// Its number, for waiting until it is readable; -1 once closed.
    fn fileno(&self) -> i32 {
        self.timer.as_ref().map_or(-1, AsRawFd::as_raw_fd)
    }

    /// Readable so many seconds from now, and not before.
    fn set(&self, seconds: f64) -> PyResult<()> {
        let after = Duration::try_from_secs_f64(seconds).map_err(|error| PyValueError::new_err(error.to_string()))?;
        match &self.timer {
            Some(timer) => Ok(alarm::set(timer.as_fd(), after)?),
            None => Err(PyValueError::new_err("the alarm is closed")),
        }
    }

    /// Give the timer back.
    fn close(&mut self) {
        self.timer = None;
    }
}

/// Addresses by the identity of their tuples, since a participant's is one object for as long as its path lasts.
#[derive(Default)]
struct Destinations {
    /// The tuples are kept, so that their identity is not given to others.
    known: HashMap<usize, (Py<PyAny>, Option<SocketAddr>)>,
}

impl Destinations {
    /// What a pair of IP address and port means; None if it is no IP address.
    fn find(&mut self, pair: Bound<PyAny>) -> PyResult<Option<SocketAddr>> {
        let identity = pair.as_ptr() as usize;
        if let Some((_, to)) = self.known.get(&identity) {
            return Ok(*to);
        }
        let (host, port): (String, u16) = pair.extract()?;
        let to = host.parse::<IpAddr>().ok().map(|host| SocketAddr::new(host, port));
        if pair.is_exact_instance_of::<PyTuple>() {
            if self.known.len() >= REMEMBERED {
                self.known.clear();
            }
            self.known.insert(identity, (pair.unbind(), to));
        }
        Ok(to)
    }
}

/// The tuple of an address, the same object each time.
fn origin<'a, 'py>(
    py: Python<'py>,
    known: &'a mut HashMap<SocketAddr, Py<PyTuple>>,
    from: SocketAddr,
) -> PyResult<&'a Bound<'py, PyTuple>> {
    if !known.contains_key(&from) {
        if known.len() >= REMEMBERED {
            known.clear();
        }
        let pair = (from.ip().to_string(), from.port()).into_pyobject(py)?;
        known.insert(from, pair.unbind());
    }
    Ok(known[&from].bind(py))
}

/// The bytes of a buffer.
fn contents(arena: &PyBuffer<u8>) -> PyResult<&[u8]> {
    if !arena.is_c_contiguous() {
        return Err(PyValueError::new_err("the arena must be contiguous"));
    }
    if arena.len_bytes() == 0 {
        return Ok(&[]); // its pointer may be null
    }
    // SAFETY: the exporter keeps the memory in place for as long as the PyBuffer lives, which outlives the slice. That nobody
    // writes to it meanwhile is what `sansio.outputs.Batch` promises for batches that a driver holds.
    Ok(unsafe { std::slice::from_raw_parts(arena.buf_ptr().cast(), arena.len_bytes()) })
}

fn guarded<T>(work: impl FnOnce() -> PyResult<T>) -> PyResult<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(PyRuntimeError::new_err("a defect in native/udp")))
}

#[pymodule]
fn _udp(module: &Bound<PyModule>) -> PyResult<()> {
    module.add_class::<Alarm>()?;
    module.add_class::<BatchSocket>()
}
