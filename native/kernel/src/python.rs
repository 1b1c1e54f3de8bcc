//! The kernel as Python sees it: `sansio.kernel._native.NativeKernel`, with the methods of `sansio/kernel/interface.py`.
//!
//! Only this module knows Python, and the only `unsafe` is the one by which a chunk of the arena is lent out as a buffer. The
//! interpreter's lock is released while a batch is taken in. Should there be a panic all the same, it is caught and becomes a
//! RuntimeError, which a driver survives: PyO3's own exception for it would end the process.

use std::net::{IpAddr, SocketAddr};
use std::panic::{catch_unwind, AssertUnwindSafe};

use pyo3::exceptions::{PyIndexError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict, PyList, PyMemoryView, PyTuple};

use crate::arena::{Batch, Chunk, Run};
use crate::kernel::{Form, Kernel};
use crate::notice::{Notice, DROP_REASONS};
use crate::spec::{Codec, ExtensionIds, LegMode, LegSpec, Misuse, StreamSpec};
use crate::srtp::Profile;

/// Names of the members of NoticeKind, in the order of ours.
const NOTICE_KINDS: [&str; 7] =
    ["UNKNOWN_SSRC", "RTCP", "FIRST_PACKET", "KEY_FRAME", "GAP", "LEG_NEEDS_KEY_FRAME", "MARKED_SWITCH"];

/// Bytes of one run in `Packed`: `RUN_RECORD` in `sansio/outputs.py`.
const RECORD_BYTES: usize = 32;

/// Local and remote address, as given and as records have them.
struct Path {
    local: Py<PyAny>,
    remote: Py<PyAny>,
    /// Of the local address in `NativeKernel::locals`.
    index: u16,
    /// None if the remote one is no IP address.
    target: Option<SocketAddr>,
}

impl Path {
    /// What does not change from run to run: port, version, index, address.
    fn record(&self, start: usize, end: usize, segment_bytes: usize) -> [u8; RECORD_BYTES] {
        let (version, port) = match self.target {
            None => (0, 0),
            Some(SocketAddr::V4(to)) => (4, to.port()),
            Some(SocketAddr::V6(to)) => (6, to.port()),
        };
        let mut record = [0; RECORD_BYTES];
        record[..4].copy_from_slice(&(start as u32).to_ne_bytes());
        record[4..8].copy_from_slice(&(end as u32).to_ne_bytes());
        // No datagram is longer, whatever was built.
        let segment = u16::try_from(segment_bytes).unwrap_or(u16::MAX);
        for (at, value) in [segment, port, version, self.index].into_iter().enumerate() {
            record[8 + 2 * at..10 + 2 * at].copy_from_slice(&value.to_ne_bytes());
        }
        match self.target.map(|target| target.ip()) {
            Some(IpAddr::V4(ip)) => record[16..20].copy_from_slice(&ip.octets()),
            Some(IpAddr::V6(ip)) => record[16..].copy_from_slice(&ip.octets()),
            None => (),
        }
        record
    }
}

/// What went wrong: ours to tell, or an exception of what was called.
enum Failure {
    Misuse(Misuse),
    Raised(PyErr),
}

impl From<Misuse> for Failure {
    fn from(misuse: Misuse) -> Self {
        Failure::Misuse(misuse)
    }
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Self {
        Failure::Raised(error)
    }
}

/// The classes that values are handed out as.
struct Types {
    misuse: Py<PyAny>,
    new_tuple: Py<PyAny>,
    notice: Py<PyAny>,
    notice_kinds: Vec<Py<PyAny>>,
    stream_stats: Py<PyAny>,
    audio_level: Py<PyAny>,
    leg_stats: Py<PyAny>,
    sent_packet: Py<PyAny>,
    drop_reasons: Vec<Py<PyAny>>,
    batch: Py<PyAny>,
    run: Py<PyAny>,
    packed: Py<PyAny>,
}

impl Types {
    fn find(py: Python) -> PyResult<Self> {
        let interface = py.import("sansio.kernel.interface")?;
        let errors = py.import("sansio.errors")?;
        let outputs = py.import("sansio.outputs")?;
        let members = |owner: &Bound<PyModule>, class: &str, names: &[&str]| {
            let class = owner.getattr(class)?;
            names.iter().map(|name| Ok(class.getattr(*name)?.unbind())).collect::<PyResult<Vec<_>>>()
        };
        let class = |name: &str| Ok::<_, PyErr>(interface.getattr(name)?.unbind());
        Ok(Types {
            misuse: errors.getattr("LocalProtocolError")?.unbind(),
            new_tuple: py.get_type::<PyTuple>().getattr("__new__")?.unbind(),
            notice: class("Notice")?,
            notice_kinds: members(&interface, "NoticeKind", &NOTICE_KINDS)?,
            stream_stats: class("StreamStats")?,
            audio_level: class("AudioLevel")?,
            leg_stats: class("LegStats")?,
            sent_packet: class("SentPacket")?,
            drop_reasons: members(&errors, "DropReason", &DROP_REASONS)?,
            batch: outputs.getattr("Batch")?.unbind(),
            run: outputs.getattr("Run")?.unbind(),
            packed: outputs.getattr("Packed")?.unbind(),
        })
    }

    /// A NamedTuple without the detour over its own constructor.
    fn named<'py, V: IntoPyObject<'py>>(
        &self,
        py: Python<'py>,
        class: &Py<PyAny>,
        values: V,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.new_tuple.bind(py).call1((class.bind(py), values))
    }

    fn raise(&self, py: Python, failure: Failure) -> PyErr {
        match failure {
            Failure::Raised(error) => error,
            Failure::Misuse(Misuse(text)) => match self.misuse.bind(py).call1((text,)) {
                Ok(error) => PyErr::from_value(error),
                Err(error) => error,
            },
        }
    }
}

/// A chunk of the arena, lent out for as long as a batch is held.
#[pyclass(frozen, module = "sansio.kernel._native")]
struct ArenaChunk(Chunk);

#[pymethods]
impl ArenaChunk {
    /// The buffer protocol, for reading only.
    ///
    /// # Safety
    ///
    /// Called by the interpreter alone, with a view to fill.
    #[allow(unsafe_code)]
    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut pyo3::ffi::Py_buffer,
        flags: std::ffi::c_int,
    ) -> PyResult<()> {
        let bytes = slf.get().0.bytes();
        // SAFETY: the bytes are owned by this object, which is frozen and which the view keeps alive; they neither move nor
        // change before it is dropped. The view is marked read-only, so nobody writes through the pointer.
        let filled = unsafe {
            pyo3::ffi::PyBuffer_FillInfo(
                view,
                slf.as_ptr(),
                bytes.as_ptr().cast_mut().cast(),
                bytes.len() as pyo3::ffi::Py_ssize_t,
                1,
                flags,
            )
        };
        if filled != 0 {
            return Err(PyErr::fetch(slf.py()));
        }
        Ok(())
    }
}

/// The runs of a batch, made into tuples only for those who ask.
#[pyclass(frozen, sequence, module = "sansio.kernel._native")]
struct Runs {
    runs: Vec<Run<Path>>,
    class: Py<PyAny>,
}

#[pymethods]
impl Runs {
    fn __len__(&self) -> usize {
        self.runs.len()
    }

    fn __getitem__<'py>(&self, py: Python<'py>, index: isize) -> PyResult<Bound<'py, PyAny>> {
        let place = if index < 0 { index + self.runs.len() as isize } else { index };
        let run = usize::try_from(place).ok().and_then(|place| self.runs.get(place));
        let run = run.ok_or_else(|| PyIndexError::new_err("no such run"))?;
        let (local, remote) = (run.path.local.bind(py), run.path.remote.bind(py));
        self.class.bind(py).call1((local, remote, run.start, run.end, run.segment_bytes))
    }
}

/// The compiled kernel.
#[pyclass(module = "sansio.kernel._native")]
struct NativeKernel {
    kernel: Kernel<Path>,
    entropy: Py<PyAny>,
    types: Types,
    /// Local addresses of paths, in the order in which they came.
    locals: Py<PyTuple>,
}

impl NativeKernel {
    /// Runs one call; what fails is raised, a panic too.
    fn run<T>(
        &mut self,
        py: Python,
        call: impl FnOnce(&mut Kernel<Path>, &Py<PyAny>) -> Result<T, Failure>,
    ) -> PyResult<T> {
        let (kernel, entropy) = (&mut self.kernel, &self.entropy);
        match catch_unwind(AssertUnwindSafe(|| call(kernel, entropy))) {
            Ok(result) => result.map_err(|failure| self.types.raise(py, failure)),
            Err(_) => Err(PyRuntimeError::new_err("the kernel failed")),
        }
    }

    fn take(
        &mut self,
        py: Python,
        now: f64,
        session: i64,
        form: Form,
        datagrams: Vec<PyBackedBytes>,
        arrivals: Vec<f64>,
    ) -> PyResult<Py<PyList>> {
        let notices =
            self.run(py, |kernel, _| py.detach(|| Ok(kernel.ingest(now, session, form, &datagrams, &arrivals)?)))?;
        let out = PyList::empty(py);
        for notice in notices {
            out.append(self.notice(py, &notice)?)?;
        }
        Ok(out.unbind())
    }

    fn notice<'py>(&self, py: Python<'py>, notice: &Notice) -> PyResult<Bound<'py, PyAny>> {
        let values = (
            &self.types.notice_kinds[notice.kind as usize],
            notice.stream,
            notice.leg,
            notice.ssrc,
            notice.position,
            notice.missing,
            PyBytes::new(py, &notice.data),
            notice.width,
            notice.height,
            notice.spatial,
            notice.temporal,
            notice.timestamp,
        );
        self.types.named(py, &self.types.notice, values)
    }

    fn batch<'py>(&self, py: Python<'py>, batch: Batch<Path>) -> PyResult<Bound<'py, PyAny>> {
        let Batch { chunk, runs } = batch;
        let mut records = Vec::with_capacity(runs.len() * RECORD_BYTES);
        for run in &runs {
            records.extend_from_slice(&run.path.record(run.start, run.end, run.segment_bytes));
        }
        let packed = self.types.named(py, &self.types.packed, (PyBytes::new(py, &records), self.locals.bind(py)))?;
        let runs = Bound::new(py, Runs { runs, class: self.types.run.clone_ref(py) })?;
        let chunk = Bound::new(py, ArenaChunk(chunk))?;
        let arena = PyMemoryView::from(chunk.as_any())?;
        self.types.batch.bind(py).call1((arena, runs, packed))
    }

    /// The place of a local address among those known.
    fn local_index(&mut self, py: Python, local: &Py<PyAny>) -> PyResult<u16> {
        let known = self.locals.bind(py);
        if let Some(index) = known.iter().position(|one| one.eq(local).unwrap_or(false)) {
            return Ok(index as u16);
        }
        let index = u16::try_from(known.len())?;
        let longer = known.iter().chain([local.bind(py).clone()]).collect::<Vec<_>>();
        self.locals = PyTuple::new(py, longer)?.unbind();
        Ok(index)
    }
}

/// An address of Python's as the system has it; none if it is no IP address.
fn socket_address(pair: &Bound<PyAny>) -> Option<SocketAddr> {
    let (host, port): (String, u16) = pair.extract().ok()?;
    Some(SocketAddr::new(host.parse().ok()?, port))
}

/// Draws integers as `sansio.entropy.random_bits` does.
fn drawing<'py>(py: Python<'py>, entropy: &'py Py<PyAny>) -> impl FnMut(u32) -> Result<i64, Failure> + 'py {
    move |bits| {
        let size = bits.div_ceil(8);
        let drawn: PyBackedBytes = entropy.bind(py).call1((size,))?.extract().map_err(PyErr::from)?;
        let value = drawn.iter().fold(0_i64, |value, byte| value << 8 | i64::from(*byte));
        Ok(value >> (8 * size - bits))
    }
}

#[pymethods]
impl NativeKernel {
    #[new]
    fn new(py: Python, entropy: Py<PyAny>) -> PyResult<Self> {
        let locals = PyTuple::empty(py).unbind();
        Ok(NativeKernel { kernel: Kernel::default(), entropy, types: Types::find(py)?, locals })
    }

    // Sessions

    fn open_session(&mut self, py: Python, profile: u32, local_key: &[u8], remote_key: &[u8]) -> PyResult<i64> {
        self.run(py, |kernel, _| {
            let profile = Profile::from_code(profile).ok_or_else(|| Misuse(format!("{profile} is no profile")))?;
            Ok(kernel.open_session(profile, local_key, remote_key)?)
        })
    }

    fn close_session(&mut self, py: Python, session: i64) -> PyResult<()> {
        self.run(py, |kernel, _| Ok(kernel.close_session(session)?))
    }

    fn set_path(&mut self, py: Python, session: i64, local: Py<PyAny>, remote: Py<PyAny>) -> PyResult<()> {
        let index = self.local_index(py, &local)?;
        let target = socket_address(remote.bind(py));
        self.run(py, |kernel, _| Ok(kernel.set_path(session, Path { local, remote, index, target })?))
    }

    // Receiving

    fn add_stream(&mut self, py: Python, session: i64, spec: &Bound<PyAny>) -> PyResult<i64> {
        self.run(py, |kernel, _| Ok(kernel.add_stream(session, stream_spec(spec)?)?))
    }

    fn set_rtx(&mut self, py: Python, stream: i64, rtx_ssrc: i64) -> PyResult<()> {
        self.run(py, |kernel, _| Ok(kernel.set_rtx(stream, ssrc_of(rtx_ssrc)?)?))
    }

    fn remove_stream(&mut self, py: Python, stream: i64) -> PyResult<()> {
        self.run(py, |kernel, _| Ok(kernel.remove_stream(stream)?))
    }

    fn watch_key_frames(&mut self, py: Python, stream: i64, watch: bool) -> PyResult<()> {
        self.run(py, |kernel, _| {
            kernel.stream(stream)?.watched = watch;
            Ok(())
        })
    }

    #[pyo3(signature = (now, session, datagrams, arrivals = Vec::new()))]
    fn ingest(
        &mut self,
        py: Python,
        now: f64,
        session: i64,
        datagrams: Vec<PyBackedBytes>,
        arrivals: Vec<f64>,
    ) -> PyResult<Py<PyList>> {
        self.take(py, now, session, Form::Protected, datagrams, arrivals)
    }

    fn inject_received(
        &mut self,
        py: Python,
        now: f64,
        session: i64,
        packets: Vec<PyBackedBytes>,
    ) -> PyResult<Py<PyList>> {
        self.take(py, now, session, Form::Plain, packets, Vec::new())
    }

    fn has_packet(&mut self, py: Python, stream: i64, position: i64) -> PyResult<bool> {
        self.run(py, |kernel, _| Ok(kernel.stream(stream)?.has_arrived(position)))
    }

    fn stream_stats<'py>(&mut self, py: Python<'py>, stream: i64) -> PyResult<Bound<'py, PyAny>> {
        let (counters, highest, expected) = self.run(py, |kernel, _| {
            let stream = kernel.stream(stream)?;
            Ok((stream.counters.clone(), stream.highest, stream.expected()))
        })?;
        let values: [Bound<PyAny>; 18] = [
            counters.packets.into_pyobject(py)?.into_any(),
            counters.bytes.into_pyobject(py)?.into_any(),
            counters.header_bytes.into_pyobject(py)?.into_any(),
            counters.padding_packets.into_pyobject(py)?.into_any(),
            counters.duplicates.into_pyobject(py)?.into_any(),
            counters.out_of_order.into_pyobject(py)?.into_any(),
            counters.recovered.into_pyobject(py)?.into_any(),
            counters.frames.into_pyobject(py)?.into_any(),
            counters.key_frames.into_pyobject(py)?.into_any(),
            counters.first_position.into_pyobject(py)?.into_any(),
            highest.into_pyobject(py)?.into_any(),
            expected.into_pyobject(py)?.into_any(),
            counters.received.into_pyobject(py)?.into_any(),
            counters.jitter.into_pyobject(py)?.into_any(),
            counters.last_timestamp.into_pyobject(py)?.into_any(),
            counters.last_arrival.into_pyobject(py)?.into_any(),
            counters.first_arrival.into_pyobject(py)?.into_any(),
            PyTuple::new(py, counters.layer_bytes)?.into_any(),
        ];
        self.types.named(py, &self.types.stream_stats, PyTuple::new(py, values)?)
    }

    fn take_audio_level<'py>(
        &mut self,
        py: Python<'py>,
        stream: i64,
        active_level: i64,
    ) -> PyResult<Bound<'py, PyAny>> {
        let level = self.run(py, |kernel, _| Ok(kernel.stream(stream)?.take_audio_level(active_level)))?;
        self.types.named(py, &self.types.audio_level, level)
    }

    fn set_transport_cc(&mut self, py: Python, session: i64, extension_id: u8) -> PyResult<()> {
        self.run(py, |kernel, _| {
            kernel.session(session)?.transport_cc_id = extension_id;
            Ok(())
        })
    }

    fn take_arrivals(&mut self, py: Python, session: i64) -> PyResult<Vec<(i64, f64)>> {
        self.run(py, |kernel, _| Ok(kernel.session(session)?.take_arrivals().into()))
    }

    fn last_arrival(&mut self, py: Python, session: i64) -> PyResult<Option<f64>> {
        self.run(py, |kernel, _| Ok(kernel.session(session)?.last_arrival))
    }

    // Forwarding

    fn add_leg(&mut self, py: Python, leg: &Bound<PyAny>) -> PyResult<i64> {
        self.run(py, |kernel, entropy| kernel.add_leg(leg_spec(leg)?, &mut drawing(py, entropy)))
    }

    fn set_leg(&mut self, py: Python, slot: i64, leg: &Bound<PyAny>) -> PyResult<()> {
        self.run(py, |kernel, entropy| kernel.set_leg(slot, leg_spec(leg)?, &mut drawing(py, entropy)))
    }

    fn remove_leg(&mut self, py: Python, slot: i64) -> PyResult<()> {
        self.run(py, |kernel, _| Ok(kernel.remove_leg(slot)?))
    }

    fn switch(&mut self, py: Python, now: f64, leg: i64, stream: i64, position: i64, timestamp: i64) -> PyResult<()> {
        self.run(py, |kernel, _| Ok(kernel.switch(now, leg, stream, position, timestamp)?))
    }

    fn detach(&mut self, py: Python, leg: i64) -> PyResult<()> {
        self.run(py, |kernel, _| Ok(kernel.detach(leg)?))
    }

    #[pyo3(signature = (now, leg, payload, *, timestamp_step, marker = false, payload_type = None, padding = 0))]
    fn inject(
        &mut self,
        py: Python,
        now: f64,
        leg: i64,
        payload: &[u8],
        timestamp_step: i64,
        marker: bool,
        payload_type: Option<u8>,
        padding: i64,
    ) -> PyResult<()> {
        self.run(py, |kernel, _| Ok(kernel.inject(now, leg, payload, timestamp_step, marker, payload_type, padding)?))
    }

    fn retransmit(&mut self, py: Python, now: f64, leg: i64, sequence_numbers: Vec<i64>, rtt: f64) -> PyResult<usize> {
        self.run(py, |kernel, _| Ok(kernel.retransmit(now, leg, &sequence_numbers, rtt)?))
    }

    fn leg_stats<'py>(&mut self, py: Python<'py>, leg: i64) -> PyResult<Bound<'py, PyAny>> {
        let (first, second, third) = self.run(py, |kernel, _| {
            let leg = kernel.leg(leg)?;
            let (state, counters, layers) = (&leg.state, &leg.state.counters, leg.mode.layers());
            let first = (
                counters.packets,
                counters.octets,
                counters.retransmitted_packets,
                counters.retransmitted_octets,
                state.dropped,
                state.stream.map_or(-1, |(_, slot)| slot),
            );
            let second = (counters.started, state.last_number, state.last_timestamp, state.time_offset);
            Ok((first, second, (counters.last_sent, counters.first_timestamp, counters.first_sent, layers.0, layers.1)))
        })?;
        let parts = [first.into_pyobject(py)?, second.into_pyobject(py)?, third.into_pyobject(py)?];
        let mut values = Vec::with_capacity(15);
        for part in &parts {
            values.extend(part.iter());
        }
        self.types.named(py, &self.types.leg_stats, PyTuple::new(py, values)?)
    }

    fn send_rtcp(&mut self, py: Python, session: i64, packet: &[u8]) -> PyResult<()> {
        self.run(py, |kernel, _| Ok(kernel.send_rtcp(session, packet)?))
    }

    fn take_sent<'py>(&mut self, py: Python<'py>, session: i64) -> PyResult<Bound<'py, PyList>> {
        let sent = self.run(py, |kernel, _| Ok(kernel.session(session)?.take_sent()))?;
        let out = PyList::empty(py);
        for one in sent {
            let values = (one.sequence_number, one.at, one.size_bytes, one.is_retransmission);
            out.append(self.types.named(py, &self.types.sent_packet, values)?)?;
        }
        Ok(out)
    }

    fn poll_transmits<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let batches = self.run(py, |kernel, _| Ok(kernel.poll_transmits()))?;
        let out = PyList::empty(py);
        for batch in batches {
            out.append(self.batch(py, batch)?)?;
        }
        Ok(out)
    }

    fn poll_drops<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let counts = self.run(py, |kernel, _| Ok(kernel.poll_drops().take()))?;
        let out = PyDict::new(py);
        for (reason, count) in self.types.drop_reasons.iter().zip(counts) {
            if count > 0 {
                out.set_item(reason, count)?;
            }
        }
        Ok(out)
    }
}

// Specs

fn ssrc_of(value: i64) -> Result<u32, Misuse> {
    u32::try_from(value).map_err(|_| Misuse(format!("{value} is no SSRC")))
}

fn stream_spec(spec: &Bound<PyAny>) -> Result<StreamSpec, Failure> {
    let mut codecs = Vec::new();
    for (payload_type, codec) in spec.getattr("codecs")?.cast_into::<PyDict>().map_err(PyErr::from)? {
        codecs.push((payload_type.extract()?, codec_of(&codec)?));
    }
    Ok(StreamSpec {
        ssrc: ssrc_of(spec.getattr("ssrc")?.extract()?)?,
        clock_rate: spec.getattr("clock_rate")?.extract()?,
        codecs,
        extensions: extension_ids(&spec.getattr("extensions")?)?,
        rtx_ssrc: ssrc_of(spec.getattr("rtx_ssrc")?.extract()?)?,
        rtx_payload_types: pairs(&spec.getattr("rtx_payload_types")?)?,
        history: spec.getattr("history")?.extract()?,
    })
}

fn leg_spec(leg: &Bound<PyAny>) -> Result<LegSpec, Failure> {
    Ok(LegSpec {
        session: leg.getattr("session")?.extract()?,
        ssrc: ssrc_of(leg.getattr("ssrc")?.extract()?)?,
        payload_types: pairs(&leg.getattr("payload_types")?)?,
        mode: mode_of(&leg.getattr("mode")?)?,
        clock_rate: leg.getattr("clock_rate")?.extract()?,
        extensions: extension_ids(&leg.getattr("extensions")?)?,
        rtx_ssrc: ssrc_of(leg.getattr("rtx_ssrc")?.extract()?)?,
        rtx_payload_types: pairs(&leg.getattr("rtx_payload_types")?)?,
        max_spatial: leg.getattr("max_spatial")?.extract()?,
        max_temporal: leg.getattr("max_temporal")?.extract()?,
        paused: leg.getattr("paused")?.extract()?,
        mtu: leg.getattr("mtu")?.extract()?,
        red_payload_type: leg.getattr("red_payload_type")?.extract()?,
        playout_delay_ms: leg.getattr("playout_delay_ms")?.extract()?,
        cuts_trailers: leg.getattr("cuts_trailers")?.extract()?,
    })
}

fn extension_ids(ids: &Bound<PyAny>) -> PyResult<ExtensionIds> {
    let id = |name: &str| ids.getattr(name)?.extract::<u8>();
    Ok(ExtensionIds {
        audio_level: id("audio_level")?,
        transport_cc: id("transport_cc")?,
        abs_send_time: id("abs_send_time")?,
        abs_capture_time: id("abs_capture_time")?,
        dependency_descriptor: id("dependency_descriptor")?,
        playout_delay: id("playout_delay")?,
        others: [id("mid")?, id("rid")?, id("repaired_rid")?],
        mixed: ids.getattr("mixed")?.extract()?,
    })
}

fn pairs(table: &Bound<PyAny>) -> PyResult<Vec<(u8, u8)>> {
    let table = table.cast::<PyDict>()?;
    table.iter().map(|(key, value)| Ok((key.extract()?, value.extract()?))).collect()
}

fn codec_of(codec: &Bound<PyAny>) -> PyResult<Codec> {
    let name: String = codec.getattr("value")?.extract()?;
    Ok(match name.as_str() {
        "opaque" => Codec::Opaque,
        "opus" => Codec::Opus,
        "red" => Codec::Red,
        "vp8" => Codec::Vp8,
        "vp9" => Codec::Vp9,
        "h264" => Codec::H264,
        "h265" => Codec::H265,
        "av1" => Codec::Av1,
        _ => return Err(PyValueError::new_err(format!("{name} is no codec"))),
    })
}

fn mode_of(mode: &Bound<PyAny>) -> PyResult<LegMode> {
    let name: String = mode.getattr("value")?.extract()?;
    Ok(match name.as_str() {
        "plain" => LegMode::Plain,
        "vp8" => LegMode::Vp8,
        "svc" => LegMode::Svc,
        "red to opus" => LegMode::RedToOpus,
        "opus to red" => LegMode::OpusToRed,
        _ => return Err(PyValueError::new_err(format!("{name} is no mode of a leg"))),
    })
}

/// The extension module.
#[pymodule]
fn _native(module: &Bound<PyModule>) -> PyResult<()> {
    module.add_class::<NativeKernel>()
}
