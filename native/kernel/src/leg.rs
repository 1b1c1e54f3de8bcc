//! The sending half of a leg (`sansio/kernel/legs.py`): numbering, header, extensions, protection, and answers to NACKs.
//!
//! See the theory of operation there; the names are the same.

use std::collections::HashMap;
use std::sync::Arc;

use crate::arena::Arena;
use crate::codecs::trailer::{self, Cut};
use crate::codecs::vp8::Prefix;
use crate::notice::{Notice, NoticeKind};
use crate::numbers::{round, widen};
use crate::packet::{Body, Packet};
use crate::rtp::write_extensions;
use crate::session::{Draw, Session};
use crate::spec::{Codec, LegSpec, Misuse, StreamSpec};
use crate::srtp::SendIndex;

/// `highest` of a leg that waits: every step from it is a long one.
pub const WAITING: i64 = -(1 << 62);
/// A longer gap is closed up.
pub const MAX_GAP: i64 = 2048;
/// How many offsets are remembered for late packets.
pub const MAX_RANGES: usize = 100;
const MAX_RETRANSMISSIONS: u32 = 3;
const MAX_REPEAT_DELAY: f64 = 0.1;
const RING_SIZE: usize = 512;
const AUDIO_RING_SIZE: usize = 128;
const KEPT_S: f64 = 2.0;
const VIDEO_CLOCK_RATE: i64 = 90000;
const HEAD_BYTES: usize = 2048;
const MAX_FORWARD_JUMP: f64 = 10.0;
const NO_TYPE: u8 = 0xFF;
/// Of one header extension value.
const MAX_VALUE_BYTES: usize = 255;

/// Where a leg sends to.
pub struct Out<'a, P> {
    /// Its session.
    pub session: &'a mut Session<P>,
    /// Where datagrams are built.
    pub arena: &'a mut Arena<P>,
}

/// Extensions that a packet brings along.
#[derive(Clone, Copy, Default)]
pub struct Passed<'a> {
    /// abs-capture-time.
    pub capture: Option<&'a [u8]>,
    /// Dependency descriptor.
    pub descriptor: Option<&'a [u8]>,
}

impl<'a> Passed<'a> {
    /// Those of a packet.
    pub fn of(packet: &'a Packet) -> Self {
        let slice = |span| packet.slice(span);
        Passed { capture: packet.capture.map(slice), descriptor: packet.descriptor.map(slice) }
    }
}

/// (id, length, value) after each other.
type Elements = Arc<Vec<u8>>;

/// None are no bytes.
fn bytes_of(elements: &Option<Elements>) -> &[u8] {
    elements.as_ref().map_or(&[], |elements| elements.as_slice())
}

/// A packet that was sent, as far as it takes to build the same bytes again. Each leg keeps hundreds.
struct Sent {
    number: i64,
    at: f64,
    /// The low bits, which is what a header has.
    timestamp: u32,
    stamp: u32,
    transport: u32,
    first: u16,
    prefix: Prefix,
    elements: Option<Elements>,
    body: Body,
}

const _: () = assert!(std::mem::size_of::<Option<Sent>>() <= 72);

/// What goes into one datagram.
struct Wire<'a> {
    ssrc: u32,
    first: u16,
    number: i64,
    timestamp: i64,
    stamp: u32,
    transport: u32,
    elements: &'a [u8],
    repaired: Option<u16>,
    prefix: &'a [u8],
    body: &'a [u8],
}

/// One leg without its mode.
#[allow(missing_docs)]
pub struct LegState {
    pub slot: i64,
    /// Index of the target session.
    pub session: usize,
    pub spec: LegSpec,
    /// Index and slot of the source.
    pub stream: Option<(usize, i64)>,
    pub highest: i64,
    pub offset: i64,
    pub time_offset: i64,
    pub last_number: i64,
    pub last_timestamp: i64,
    pub notices: Vec<Notice>,
    pub epoch: u64,
    pub base: i64,
    pub dropped: u64,
    pub counters: LegCounters,
    index: SendIndex,
    rtx_number: i64,
    rtx_index: SendIndex,
    types: [u8; 128],
    default_type: u16,
    source_codecs: Vec<(u8, Codec)>,
    cuts_trailers: bool,
    pass_capture: u8,
    pass_descriptor: u8,
    source_ids: (u8, u8),
    constant_elements: Option<Elements>,
    abs_send_time_bits: u32,
    transport_cc_bits: u32,
    two_byte: bool,
    frame_offset: i64,
    last_frame: i64,
    frame_epoch: u64,
    next_timestamp: Option<i64>,
    ranges: Vec<(i64, i64, i64)>,
    ring: Vec<Option<Sent>>,
    mask: i64,
    kept_from: i64,
    swept: i64,
    sweep_at: f64,
    repeats: HashMap<i64, (u32, f64)>,
}

/// See `LegStats` in `sansio/kernel/interface.py`.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct LegCounters {
    pub packets: u64,
    pub octets: i64,
    pub retransmitted_packets: u64,
    pub retransmitted_octets: u64,
    pub started: bool,
    pub last_sent: f64,
    pub first_timestamp: i64,
    pub first_sent: f64,
}

impl LegState {
    /// A waiting one; its SSRCs are claimed.
    pub fn new<P, E: From<Misuse>>(
        slot: i64,
        index: usize,
        session: &mut Session<P>,
        spec: LegSpec,
        draw: Draw<E>,
    ) -> Result<Self, E> {
        let (last_number, send_index) = session.claim_ssrc(spec.ssrc, draw)?;
        let (mut rtx_number, mut rtx_index) = (0, SendIndex::default());
        if spec.rtx_ssrc != 0 {
            (rtx_number, rtx_index) = session.claim_ssrc(spec.rtx_ssrc, draw)?;
        }
        let last_timestamp = draw(31)?;
        let size = if spec.clock_rate < VIDEO_CLOCK_RATE { AUDIO_RING_SIZE } else { RING_SIZE };
        let mut leg = LegState {
            slot,
            session: index,
            stream: None,
            highest: WAITING,
            offset: 0,
            time_offset: 0,
            last_number,
            last_timestamp,
            notices: Vec::new(),
            epoch: 0,
            base: 0,
            dropped: 0,
            counters: LegCounters::default(),
            index: send_index,
            rtx_number,
            rtx_index,
            types: [NO_TYPE; 128],
            default_type: 0x8000,
            source_codecs: Vec::new(),
            cuts_trailers: spec.cuts_trailers,
            pass_capture: 0,
            pass_descriptor: 0,
            source_ids: (0, 0),
            constant_elements: None,
            abs_send_time_bits: 0,
            transport_cc_bits: 0,
            two_byte: false,
            frame_offset: 0,
            last_frame: -1,
            frame_epoch: 0,
            next_timestamp: None,
            ranges: Vec::new(),
            ring: std::iter::repeat_with(|| None).take(size).collect(),
            mask: size as i64 - 1,
            kept_from: last_number + 1,
            swept: last_number + 1,
            sweep_at: 0.0,
            repeats: HashMap::new(),
            spec,
        };
        leg.read_spec();
        Ok(leg)
    }

    // Commands

    /// Replace the plain data. A new SSRC starts numbering of its own; what was sent before cannot be sent again.
    pub fn set_spec<P, E: From<Misuse>>(
        &mut self,
        session: &mut Session<P>,
        spec: LegSpec,
        draw: Draw<E>,
    ) -> Result<(), E> {
        if spec.session != self.spec.session {
            return Err(Misuse("the session of a leg may not change".into()).into());
        }
        if spec.ssrc != self.spec.ssrc {
            let (number, index) = session.claim_ssrc(spec.ssrc, draw)?;
            session.release_ssrc(self.spec.ssrc, self.last_number, self.index);
            (self.last_number, self.index) = (number, index);
            self.wait();
        }
        if spec.rtx_ssrc != self.spec.rtx_ssrc {
            let (mut number, mut index) = (0, SendIndex::default());
            if spec.rtx_ssrc != 0 {
                (number, index) = session.claim_ssrc(spec.rtx_ssrc, draw)?;
            }
            if self.spec.rtx_ssrc != 0 {
                session.release_ssrc(self.spec.rtx_ssrc, self.rtx_number, self.rtx_index);
            }
            (self.rtx_number, self.rtx_index) = (number, index);
        }
        if spec.ssrc != self.spec.ssrc || spec.extensions != self.spec.extensions {
            self.ring.iter_mut().for_each(|slot| *slot = None);
            (self.kept_from, self.swept) = (self.last_number + 1, self.last_number + 1);
            self.repeats.clear();
        }
        self.spec = spec;
        self.read_spec();
        Ok(())
    }

    /// Follow a stream from `position` on.
    pub fn follow(&mut self, stream: (usize, i64), spec: &StreamSpec, position: i64, timestamp: i64) {
        self.wait();
        self.stream = Some(stream);
        self.source_codecs.clone_from(&spec.codecs);
        self.source_ids = (spec.extensions.abs_capture_time, spec.extensions.dependency_descriptor);
        self.pair_extensions();
        self.base = position;
        self.next_timestamp = Some(timestamp);
    }

    /// Follow nothing. Returns the index of the stream that was followed.
    pub fn detach(&mut self) -> Option<usize> {
        self.wait();
        self.source_codecs.clear();
        self.stream.take().map(|(index, _)| index)
    }

    /// The end.
    pub fn close<P>(&mut self, session: &mut Session<P>) {
        session.release_ssrc(self.spec.ssrc, self.last_number, self.index);
        if self.spec.rtx_ssrc != 0 {
            session.release_ssrc(self.spec.rtx_ssrc, self.rtx_number, self.rtx_index);
        }
    }

    /// The other half of `inject`: a frame of our own that fits the codec numbering already.
    pub fn inject<P>(
        &mut self,
        out: &mut Out<P>,
        now: f64,
        frame: (Prefix, Body),
        timestamp_step: i64,
        marker: bool,
        payload_type: Option<u8>,
        padding: u8,
    ) {
        let number = self.last_number + 1;
        let timestamp = self.last_timestamp.wrapping_add(timestamp_step);
        let mut first = payload_type.map_or(self.default_type, |one| 0x8000 | u16::from(one));
        first |= if marker { 0x80 } else { 0 };
        let (prefix, mut body) = frame;
        let is_padding = prefix.is_empty() && body.bytes().is_empty();
        if self.highest != WAITING {
            self.offset -= 1;
            self.add_range(self.highest + 1);
        }
        if padding > 0 {
            let mut padded = body.bytes().to_vec();
            padded.resize(padded.len() + usize::from(padding) - 1, 0);
            padded.push(padding);
            body = Body::own(padded);
            first |= 0x2000;
        }
        let sent_bytes = body.bytes().len() as i64;
        self.send(out, now, number, timestamp, first, prefix, body, None);
        if is_padding {
            let place = self.place_in_ring(number);
            self.ring[place] = None; // padding is never sent again
            self.counters.octets -= sent_bytes;
        }
    }

    /// Answer a NACK; returns how many packets were sent again.
    pub fn retransmit<P>(&mut self, out: &mut Out<P>, now: f64, sequence_numbers: &[i64], rtt: f64) -> usize {
        if out.session.path.is_none() {
            return 0;
        }
        let quiet = MAX_REPEAT_DELAY.min(2.0 * rtt);
        let mut sent_count = 0;
        for sequence_number in sequence_numbers {
            let number = widen(sequence_number & 0xFFFF, self.last_number, 16);
            let place = self.place_in_ring(number);
            let Some(sent) = self.ring[place].take_if(|sent| sent.number == number) else {
                continue;
            };
            let (count, last) = self.repeats.get(&number).copied().unwrap_or((0, sent.at));
            if count < MAX_RETRANSMISSIONS && now - last >= quiet {
                self.remember_repeat(number, count + 1, now);
                self.send_again(out, now, &sent);
                sent_count += 1;
            }
            self.ring[place] = Some(sent);
        }
        sent_count
    }

    // What modes use

    /// The first 16 bits for packets of a source type, 0 if they are not wanted.
    pub fn first_for(&self, packet: &Packet) -> u16 {
        match self.types[usize::from(packet.payload_type & 0x7F)] {
            NO_TYPE => 0,
            _ if packet.is_empty() => 0,
            target => 0x8000 | u16::from(target),
        }
    }

    /// Whether nothing may be sent now. These packets then are passed over, and numbering closes up behind them.
    pub fn hold<P>(&mut self, out: &Out<P>, packets: &[Arc<Packet>]) -> bool {
        if out.session.path.is_some() && !self.spec.paused {
            return false;
        }
        self.highest = WAITING;
        for packet in packets {
            self.base = self.base.max(packet.position + 1);
        }
        true
    }

    /// The number and timestamp of a packet; none if it gets none. One that is unwanted and yet gets a number must be
    /// replaced by an empty packet (`fill`).
    pub fn place(&mut self, now: f64, position: i64, timestamp: i64, wanted: bool) -> Option<(i64, i64)> {
        let step = position - self.highest;
        if step == 1 {
            if !wanted {
                self.skip(position);
                return None;
            }
            self.highest = position;
        } else if step > MAX_GAP {
            if !wanted || position < self.base {
                return None;
            }
            self.rebase(now, position, timestamp);
        } else if step > 0 {
            self.highest = position;
        } else {
            return self.place_late(position, timestamp);
        }
        Some((position - self.offset, timestamp - self.time_offset))
    }

    /// An empty packet for a number that was promised to the receiver.
    pub fn fill<P>(&mut self, out: &mut Out<P>, now: f64, placed: (i64, i64)) {
        self.send(out, now, placed.0, placed.1, self.default_type, Prefix::default(), Body::default(), None);
    }

    /// Send a packet and remember it. `first` holds the first 16 bits but the extension flag.
    pub fn send<P>(
        &mut self,
        out: &mut Out<P>,
        now: f64,
        number: i64,
        timestamp: i64,
        first: u16,
        prefix: Prefix,
        mut body: Body,
        passed: Option<Passed>,
    ) {
        if self.cuts_trailers && body.bytes().ends_with(trailer::MAGIC) {
            body = self.trim((first & 0x7F) as u8, body);
        }
        let stamp = self.stamp(now);
        let transport = self.next_transport(out);
        let elements = match passed {
            Some(passed) if self.pass_capture != 0 || self.pass_descriptor != 0 => self.elements(passed, number),
            _ => self.constant_elements.clone(),
        };
        let size = self.emit(
            out,
            &Wire {
                ssrc: self.spec.ssrc,
                first,
                number,
                timestamp,
                stamp,
                transport,
                elements: bytes_of(&elements),
                repaired: None,
                prefix: prefix.as_slice(),
                body: body.bytes(),
            },
        );
        if transport != 0 && size > 0 {
            out.session.note_sent(now, size, false);
        }
        self.counters.packets += 1;
        self.counters.octets += (prefix.len() + body.bytes().len()) as i64;
        let low = timestamp as u32;
        let sent = Sent { number, at: now, timestamp: low, first, stamp, transport, elements, prefix, body };
        self.remember(now, timestamp, sent);
    }

    // Numbering

    fn skip(&mut self, position: i64) {
        self.highest = position;
        self.offset += 1;
        self.add_range(position + 1);
    }

    /// Follow on from the last packet sent, with this one.
    fn rebase(&mut self, now: f64, position: i64, timestamp: i64) {
        let goal = match self.next_timestamp.take() {
            Some(goal) => goal,
            None => self.resume_timestamp(now, timestamp),
        };
        self.epoch += 1;
        (self.highest, self.base) = (position, position);
        self.offset = position - self.last_number - 1;
        self.time_offset = timestamp.wrapping_sub(goal);
        self.ranges.clear();
        self.ranges.push((position, self.offset, self.time_offset));
    }

    /// After a pause or a long gap the source's timing goes on, if it kept it.
    fn resume_timestamp(&self, now: f64, timestamp: i64) -> i64 {
        let clock_rate = self.spec.clock_rate as f64;
        let expected = self.last_timestamp.wrapping_add(round((now - self.counters.last_sent) * clock_rate));
        let kept = timestamp - self.time_offset;
        if self.last_timestamp < kept && kept as f64 <= expected as f64 + MAX_FORWARD_JUMP * clock_rate {
            return kept;
        }
        expected.max(self.last_timestamp + 1)
    }

    fn place_late(&self, position: i64, timestamp: i64) -> Option<(i64, i64)> {
        if position < self.base {
            return None;
        }
        let (_, offset, time_offset) = self.ranges.iter().rev().find(|range| position >= range.0)?;
        let number = position - offset;
        (number < self.last_number).then_some((number, timestamp - time_offset))
    }

    fn add_range(&mut self, start: i64) {
        if self.ranges.last().is_some_and(|range| range.0 == start) {
            self.ranges.pop();
        }
        self.ranges.push((start, self.offset, self.time_offset));
        if self.ranges.len() > MAX_RANGES {
            self.ranges.remove(0);
        }
    }

    fn wait(&mut self) {
        self.highest = WAITING;
        self.ranges.clear();
    }

    // Sending

    fn read_spec(&mut self) {
        let ids = self.spec.extensions;
        self.types = [NO_TYPE; 128];
        for &(source, target) in &self.spec.payload_types {
            self.types[usize::from(source & 0x7F)] = target & 0x7F;
        }
        self.default_type = 0x8000 | self.spec.payload_types.first().map_or(0, |(_, target)| u16::from(*target));
        self.pair_extensions();
        self.constant_elements = None;
        if let (true, Some((least, greatest))) = (ids.playout_delay != 0, self.spec.playout_delay_ms) {
            let [least, greatest] = [least, greatest].map(|ms| ms.div_euclid(10).clamp(0, 0xFFF) as u32);
            let [_, high, middle, low] = (least << 12 | greatest).to_be_bytes();
            self.constant_elements = Some(Arc::new(vec![ids.playout_delay, 3, high, middle, low]));
        }
        let word = |id: u8, size: u32| if id != 0 { u32::from(id) << 28 | size << 24 } else { 0 };
        // Ids above 14 do not fit; the bits then only say that there is such an extension.
        self.abs_send_time_bits = word(ids.abs_send_time, 2);
        self.transport_cc_bits = word(ids.transport_cc, 1);
        // Without extmap-allow-mixed a stream keeps to one form, and descriptors may need the two-byte one (RFC 8285 §4.1.2).
        self.two_byte = ids.abs_send_time.max(ids.transport_cc).max(ids.playout_delay) > 14
            || (ids.dependency_descriptor > 0 && !ids.mixed);
    }

    fn pair_extensions(&mut self) {
        let ids = self.spec.extensions;
        let (capture, descriptor) = if self.stream.is_some() { self.source_ids } else { (0, 0) };
        self.pass_capture = if capture != 0 { ids.abs_capture_time } else { 0 };
        self.pass_descriptor = if descriptor != 0 { ids.dependency_descriptor } else { 0 };
    }

    fn stamp(&self, now: f64) -> u32 {
        if self.abs_send_time_bits == 0 {
            return 0;
        }
        self.abs_send_time_bits | ((now * 262144.0) as i64 & 0xFF_FFFF) as u32 // 6.18 fixed point
    }

    fn next_transport<P>(&self, out: &mut Out<P>) -> u32 {
        if self.transport_cc_bits == 0 {
            return 0;
        }
        out.session.transport_number += 1;
        self.transport_cc_bits | ((out.session.transport_number & 0xFFFF) as u32) << 8
    }

    fn elements(&mut self, passed: Passed, number: i64) -> Option<Elements> {
        let mut out = Vec::new();
        if let Some(constant) = &self.constant_elements {
            out.extend_from_slice(constant);
        }
        for (id, value) in [(self.pass_capture, passed.capture), (self.pass_descriptor, passed.descriptor)] {
            let Some(value) = value.filter(|value| id != 0 && value.len() <= MAX_VALUE_BYTES) else {
                continue;
            };
            out.extend_from_slice(&[id, value.len() as u8]);
            let at = out.len();
            out.extend_from_slice(value);
            if id == self.spec.extensions.dependency_descriptor && value.len() >= 3 {
                let frame = self.renumber_frame(i64::from(value[1]) << 8 | i64::from(value[2]), number);
                out[at + 1..at + 3].copy_from_slice(&frame.to_be_bytes());
            }
        }
        (!out.is_empty()).then(|| Arc::new(out))
    }

    /// A frame number that goes on across sources: receivers drop what looks old.
    fn renumber_frame(&mut self, frame: i64, number: i64) -> u16 {
        if self.frame_epoch != self.epoch {
            self.frame_epoch = self.epoch;
            self.frame_offset = if self.last_frame >= 0 { frame - self.last_frame - 1 } else { 0 };
        }
        let frame = (frame - self.frame_offset) & 0xFFFF;
        if number > self.last_number {
            self.last_frame = frame;
        }
        frame as u16
    }

    /// Build a packet in the arena and protect it there; returns its size on the wire, 0 if it could not be sent.
    fn emit<P>(&mut self, out: &mut Out<P>, wire: &Wire) -> usize {
        let is_rtx = wire.repaired.is_some();
        let Some(path) = &out.session.path else {
            return 0;
        };
        let needed = wire.body.len() + HEAD_BYTES;
        let Some(room) = out.arena.room(needed) else {
            return 0;
        };
        let index = if is_rtx { &mut self.rtx_index } else { &mut self.index };
        let Some(index) = index.advance(wire.number as u16) else {
            return 0;
        };
        let Some(header) = write_header(room, wire, &self.spec, self.two_byte) else {
            return 0;
        };
        let mut end = header;
        if let Some(repaired) = wire.repaired {
            room[end..end + 2].copy_from_slice(&repaired.to_be_bytes());
            end += 2;
        }
        for part in [wire.prefix, wire.body] {
            room[end..end + part.len()].copy_from_slice(part);
            end += part.len();
        }
        match out.session.outbound.seal(room, header, end, wire.ssrc, index) {
            None => 0,
            Some(size) => {
                out.arena.commit(path, size);
                size
            }
        }
    }

    fn send_again<P>(&mut self, out: &mut Out<P>, now: f64, sent: &Sent) {
        self.counters.retransmitted_packets += 1;
        self.counters.retransmitted_octets += (sent.prefix.len() + sent.body.bytes().len()) as u64;
        let mut wire = Wire {
            ssrc: self.spec.ssrc,
            first: sent.first,
            number: sent.number,
            timestamp: sent.timestamp.into(),
            stamp: sent.stamp,
            transport: sent.transport,
            elements: bytes_of(&sent.elements),
            repaired: None,
            prefix: sent.prefix.as_slice(),
            body: sent.body.bytes(),
        };
        let rtx_type = crate::spec::lookup(&self.spec.rtx_payload_types, (sent.first & 0x7F) as u8);
        let (Some(rtx_type), true) = (rtx_type, self.spec.rtx_ssrc != 0) else {
            self.emit(out, &wire);
            return;
        };
        if wire.stamp != 0 {
            wire.stamp = self.stamp(now);
        }
        if wire.transport != 0 {
            wire.transport = self.next_transport(out);
        }
        self.rtx_number += 1;
        (wire.ssrc, wire.number) = (self.spec.rtx_ssrc, self.rtx_number);
        wire.first = wire.first & 0xFF80 | u16::from(rtx_type);
        wire.repaired = Some(sent.number as u16);
        let size = self.emit(out, &wire);
        if wire.transport != 0 && size > 0 {
            out.session.note_sent(now, size, true);
        }
    }

    fn trim(&self, payload_type: u8, body: Body) -> Body {
        let codec = self.spec.payload_types.iter().filter(|(_, target)| *target == payload_type);
        let codec = codec.filter_map(|(source, _)| crate::spec::lookup(&self.source_codecs, *source)).next();
        let bytes = body.bytes();
        let units_at = match codec {
            Some(Codec::H264) if bytes[0] & 31 == 24 => 1,
            Some(Codec::H265) if bytes[0] >> 1 & 63 == 48 => 2,
            // More elements than libwebrtc ever puts together, each with its length.
            Some(Codec::Av1) if bytes[0] & 0x30 == 0 => return body,
            _ => 0,
        };
        match trailer::cut(bytes, units_at) {
            Cut::First(size) => body.first(size),
            Cut::Whole(bytes) => Body::own(bytes),
        }
    }

    fn place_in_ring(&self, number: i64) -> usize {
        (number & self.mask) as usize
    }

    fn remember(&mut self, now: f64, timestamp: i64, sent: Sent) {
        let number = sent.number;
        let place = self.place_in_ring(number);
        if number <= self.last_number {
            if self.last_number - number <= self.mask {
                self.ring[place] = Some(sent);
            }
            return;
        }
        self.ring[place] = Some(sent);
        (self.last_number, self.last_timestamp) = (number, timestamp);
        self.counters.last_sent = now;
        if now >= self.sweep_at {
            self.sweep(now);
        }
        if !self.counters.started {
            self.counters.started = true;
            (self.counters.first_timestamp, self.counters.first_sent) = (timestamp, now);
        }
    }

    /// Forget what was sent before the last sweep.
    fn sweep(&mut self, now: f64) {
        for number in self.kept_from.max(self.last_number - self.mask)..self.swept {
            let place = self.place_in_ring(number);
            self.ring[place] = None;
        }
        (self.kept_from, self.swept) = (self.swept, self.last_number + 1);
        self.sweep_at = now + KEPT_S;
        let kept_from = self.kept_from;
        self.repeats.retain(|number, _| *number >= kept_from);
    }

    fn remember_repeat(&mut self, number: i64, count: u32, now: f64) {
        self.repeats.insert(number, (count, now));
        if self.repeats.len() > 2 * self.ring.len() {
            let oldest = self.last_number - self.ring.len() as i64;
            self.repeats.retain(|one, _| *one > oldest);
        }
    }

    /// A notice about this leg.
    pub fn notice(&self, kind: NoticeKind) -> Notice {
        let mut notice = Notice::new(kind, self.stream.map_or(-1, |(_, slot)| slot), self.spec.ssrc);
        notice.leg = self.slot;
        notice
    }
}

/// Header and extensions; returns where they end, none if there is no room for them.
fn write_header(room: &mut [u8], wire: &Wire, spec: &LegSpec, two_byte: bool) -> Option<usize> {
    let Wire { first, stamp, transport, elements, .. } = *wire;
    let has_block = stamp != 0 || transport != 0 || !elements.is_empty();
    let first = if has_block { first | 0x1000 } else { first };
    let head = room.first_chunk_mut::<12>()?;
    head[..2].copy_from_slice(&first.to_be_bytes());
    head[2..4].copy_from_slice(&(wire.number as u16).to_be_bytes());
    head[4..8].copy_from_slice(&(wire.timestamp as u32).to_be_bytes());
    head[8..12].copy_from_slice(&wire.ssrc.to_be_bytes());
    if !has_block {
        return Some(12);
    }
    if elements.is_empty() && !two_byte {
        return Some(write_stamps(room, stamp, transport));
    }
    let (stamp, transport) = (stamp.to_be_bytes(), transport.to_be_bytes());
    let last = [(spec.extensions.abs_send_time, &stamp[1..]), (spec.extensions.transport_cc, &transport[1..3])];
    let is_stamped = [wire.stamp != 0, wire.transport != 0];
    let stamps = last.into_iter().zip(is_stamped).filter_map(|(one, is_there)| is_there.then_some(one));
    write_extensions(room, 12, ElementsOf(elements).chain(stamps), two_byte)
}

/// The common case of extensions: one-byte elements that fill words as they are.
fn write_stamps(room: &mut [u8], stamp: u32, transport: u32) -> usize {
    let mut end = 16;
    for word in [stamp, transport] {
        if word != 0 {
            room[end..end + 4].copy_from_slice(&word.to_be_bytes());
            end += 4;
        }
    }
    room[12..16].copy_from_slice(&(0xBEDE_0000 | ((end as u32 - 16) / 4)).to_be_bytes());
    end
}

#[derive(Clone)]
struct ElementsOf<'a>(&'a [u8]);

impl<'a> Iterator for ElementsOf<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&id, rest) = self.0.split_first()?;
        let (&size, rest) = rest.split_first()?;
        let (value, rest) = rest.split_at_checked(usize::from(size))?;
        self.0 = rest;
        Some((id, value))
    }
}
