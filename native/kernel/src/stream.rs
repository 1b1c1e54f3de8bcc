//! The receiving half of one stream: numbering, duplicates, counters, and the packets kept (`sansio/kernel/receive.py`).

use std::sync::Arc;

use crate::notice::{DropReason, Notice, NoticeKind};
use crate::numbers::{round, serial_difference};
use crate::packet::{Info, Packet, Reader, Reading};
use crate::rtp::{Extensions, Span};
use crate::spec::StreamSpec;

const MAX_AHEAD: i64 = 3000;
const MAX_BEHIND: i64 = 4000;
const MAX_EARLIER: i64 = 64;
const ARRIVED_SLOTS: i64 = 8192;
const KEPT_S: f64 = 1.0;
const MAX_LEVEL_MS: f64 = 1000.0;
const MAX_HISTORY: usize = 1 << 16;

/// One received SSRC.
pub struct Stream {
    /// Its name.
    pub slot: i64,
    /// Index of its session.
    pub session: usize,
    /// What is known of it.
    pub spec: StreamSpec,
    /// 0 if none is known.
    pub rtx_ssrc: u32,
    /// Whether key frames are told.
    pub watched: bool,
    /// Indices of the legs that follow it, in the order in which they came.
    pub legs: Vec<usize>,
    /// Packets of the burst that is being taken in.
    pub pending: Vec<Arc<Packet>>,
    /// The highest position, -1 before the first.
    pub highest: i64,
    /// What is counted.
    pub counters: Counters,
    ring: Vec<Option<Arc<Packet>>>,
    mask: i64,
    kept_from: i64,
    swept: i64,
    sweep_at: f64,
    arrived: Vec<u8>,
    readers: Vec<(u8, Reader)>,
    long_silence: f64,
    expected_restart: i64,
    key_timestamp: Option<i64>,
    last_transit: f64,
    levels: Vec<(u8, f64)>,
}

/// See `StreamStats` in `sansio/kernel/interface.py`.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Counters {
    pub packets: u64,
    pub bytes: u64,
    pub header_bytes: u64,
    pub padding_packets: u64,
    pub duplicates: u64,
    pub out_of_order: u64,
    pub recovered: u64,
    pub frames: u64,
    pub key_frames: u64,
    pub first_position: i64,
    pub received: u64,
    pub jitter: f64,
    pub last_timestamp: i64,
    pub last_arrival: f64,
    pub first_arrival: f64,
    pub layer_bytes: [u64; 16],
}

/// One packet on its way in.
pub struct Arrival {
    /// When.
    pub at: f64,
    /// 16 bits, of the packet that was repaired if it was.
    pub sequence_number: u16,
    /// 32 bits.
    pub timestamp: u32,
    /// 0x80 or 0.
    pub marker: u8,
    /// As `sequence_number`.
    pub payload_type: u8,
    /// The plain packet.
    pub data: Vec<u8>,
    /// In it.
    pub payload: Span,
    /// In it.
    pub extensions: Extensions,
    /// Whether it came by RTX.
    pub recovered: bool,
}

impl Stream {
    /// An idle one.
    pub fn new(slot: i64, session: usize, spec: StreamSpec) -> Self {
        let size = spec.history.clamp(1, MAX_HISTORY).next_power_of_two().max(16);
        let readers = spec.codecs.iter().map(|&(one, codec)| (one, Reader::new(codec, &spec.extensions))).collect();
        Stream {
            slot,
            session,
            rtx_ssrc: spec.rtx_ssrc,
            watched: false,
            legs: Vec::new(),
            pending: Vec::new(),
            highest: -1,
            counters: Counters {
                packets: 0,
                bytes: 0,
                header_bytes: 0,
                padding_packets: 0,
                duplicates: 0,
                out_of_order: 0,
                recovered: 0,
                frames: 0,
                key_frames: 0,
                first_position: -1,
                received: 0,
                jitter: 0.0,
                last_timestamp: 0,
                last_arrival: 0.0,
                first_arrival: 0.0,
                layer_bytes: [0; 16],
            },
            ring: vec![None; size],
            mask: size as i64 - 1,
            kept_from: 0,
            swept: 0,
            sweep_at: 0.0,
            arrived: vec![0; ARRIVED_SLOTS as usize],
            readers,
            long_silence: (1_i64 << 31) as f64 / spec.clock_rate as f64,
            expected_restart: -1,
            key_timestamp: None,
            last_transit: 0.0,
            levels: Vec::new(),
            spec,
        }
    }

    /// Number, count and keep one packet, and queue it in `pending`. Returns why if it was dropped.
    pub fn handle_packet(&mut self, arrival: Arrival, notices: &mut Vec<Notice>) -> Option<DropReason> {
        let Arrival { at, sequence_number, recovered, payload_type, .. } = arrival;
        let reader = self.readers.iter().position(|(one, _)| *one == payload_type);
        let is_empty = arrival.payload.1 <= arrival.payload.0;
        let unknown = if reader.is_none() { Some(DropReason::RtpUnknownPayloadType) } else { None };
        if self.highest < 0 {
            if recovered || is_empty || unknown.is_some() {
                return unknown.or(Some(DropReason::RtpPaddingOnly));
            }
            self.start(at, i64::from(sequence_number), i64::from(arrival.timestamp), notices);
        }
        let Some(position) = self.place(i64::from(sequence_number), recovered, notices) else {
            return Some(DropReason::RtpTooOld);
        };
        if self.has_arrived(position) {
            self.counters.duplicates += 1;
            return Some(DropReason::RtpDuplicate);
        }
        self.arrived[(position & 8191) as usize] = cycle(position);
        let timestamp = self.widen_timestamp(at, i64::from(arrival.timestamp));
        let in_order = position >= self.highest;
        let reading = self.read(reader, &arrival);
        let payload = if unknown.is_none() { arrival.payload } else { (arrival.payload.0, arrival.payload.0) };
        self.count(&arrival, payload, &reading, in_order);
        if in_order {
            self.highest = position;
            self.observe(at, timestamp, &arrival);
            if at >= self.sweep_at {
                self.sweep(at);
            }
        }
        let find = |id| if id == 0 { None } else { arrival.extensions.find(&arrival.data, id) };
        let packet = Arc::new(Packet {
            position,
            timestamp,
            marker: u16::from(arrival.marker),
            payload_type,
            payload,
            capture: find(self.spec.extensions.abs_capture_time),
            descriptor: find(self.spec.extensions.dependency_descriptor),
            info: reading.info,
            data: arrival.data,
        });
        self.ring[(position & self.mask) as usize] = Some(packet.clone());
        self.pending.push(packet);
        if reading.starts_key_frame && self.key_timestamp != Some(timestamp) {
            self.key_timestamp = Some(timestamp);
            self.counters.key_frames += 1;
            if self.watched {
                let mut notice = Notice::new(NoticeKind::KeyFrame, self.slot, self.spec.ssrc);
                (notice.position, notice.timestamp, notice.spatial) = (position, timestamp, reading.spatial);
                (notice.width, notice.height) = (reading.width, reading.height);
                notices.push(notice);
            }
        }
        unknown
    }

    /// Whether that number was heard; false once it is further back than the table reaches.
    pub fn has_arrived(&self, position: i64) -> bool {
        if position > self.highest || position < 0 || self.highest - position >= ARRIVED_SLOTS {
            return false;
        }
        self.arrived[(position & 8191) as usize] == cycle(position)
    }

    /// The packet if it is still kept.
    pub fn packet(&self, position: i64) -> Option<&Arc<Packet>> {
        self.ring[(position & self.mask) as usize].as_ref().filter(|found| found.position == position)
    }

    /// The kept packets from `position` on, in order of position.
    pub fn packets_from(&self, position: i64) -> Vec<Arc<Packet>> {
        let first = position.max(self.highest - self.mask);
        (first..=self.highest).filter_map(|one| self.packet(one).cloned()).collect()
    }

    /// highest - first + 1.
    pub fn expected(&self) -> i64 {
        if self.highest >= 0 {
            self.highest - self.counters.first_position + 1
        } else {
            0
        }
    }

    /// (observed ms, active ms, loudest) since the last call.
    pub fn take_audio_level(&mut self, active_level: i64) -> (f64, f64, u8) {
        let levels = std::mem::take(&mut self.levels);
        let active = || levels.iter().filter(|(level, _)| i64::from(*level) <= active_level);
        let observed_ms = levels.iter().map(|(_, ms)| ms).sum();
        (observed_ms, active().map(|(_, ms)| ms).sum(), active().map(|(level, _)| *level).min().unwrap_or(127))
    }

    fn start(&mut self, now: f64, sequence_number: i64, timestamp: i64, notices: &mut Vec<Notice>) {
        self.highest = sequence_number;
        self.counters.first_position = sequence_number;
        self.counters.last_timestamp = timestamp;
        (self.counters.first_arrival, self.counters.last_arrival) = (now, now);
        self.last_transit = now * self.spec.clock_rate as f64 - timestamp as f64;
        let mut notice = Notice::new(NoticeKind::FirstPacket, self.slot, self.spec.ssrc);
        (notice.position, notice.timestamp) = (sequence_number, timestamp);
        notices.push(notice);
    }

    /// The position of a sequence number, none if it is not believed.
    fn place(&mut self, sequence_number: i64, recovered: bool, notices: &mut Vec<Notice>) -> Option<i64> {
        let step = serial_difference(sequence_number, self.highest & 0xFFFF, 16);
        let position = self.highest + step;
        if (0..=1).contains(&step) {
            return Some(position);
        }
        if !(-MAX_BEHIND..=MAX_AHEAD).contains(&step) {
            return if recovered { None } else { self.restart(sequence_number, step) };
        }
        if step > 1 {
            if recovered {
                return None; // nothing can be sent again that was never sent
            }
            notices.push(self.gap(self.highest + 1, step - 1));
        } else if position < self.counters.first_position {
            let missing = self.counters.first_position - position - 1;
            if position < 0 || missing >= MAX_EARLIER {
                return None;
            }
            if missing > 0 {
                notices.push(self.gap(position + 1, missing));
            }
            self.counters.first_position = position;
        }
        Some(position)
    }

    fn gap(&self, position: i64, missing: i64) -> Notice {
        let mut notice = Notice::new(NoticeKind::Gap, self.slot, self.spec.ssrc);
        (notice.position, notice.missing) = (position, missing);
        notice
    }

    /// Forget what came before the last sweep.
    fn sweep(&mut self, now: f64) {
        for position in self.kept_from.max(self.highest - self.mask)..self.swept {
            self.ring[(position & self.mask) as usize] = None;
        }
        (self.kept_from, self.swept) = (self.swept, self.highest);
        self.sweep_at = now + KEPT_S;
    }

    /// A step too wide is believed when the next number follows it.
    fn restart(&mut self, sequence_number: i64, step: i64) -> Option<i64> {
        if sequence_number != self.expected_restart {
            self.expected_restart = (sequence_number + 1) & 0xFFFF;
            return None;
        }
        self.expected_restart = -1;
        let position = self.highest + if step > 0 { step } else { step + 0x10000 };
        // Nothing is known to be lost across a restart: expected and received go on as they stood.
        self.counters.first_position += position - self.highest - 1;
        Some(position)
    }

    fn widen_timestamp(&self, now: f64, rtp_timestamp: i64) -> i64 {
        let last = self.counters.last_timestamp;
        let timestamp = last + serial_difference(rtp_timestamp, last & 0xFFFF_FFFF, 32);
        let silence = now - self.counters.last_arrival;
        if silence <= self.long_silence || silence.is_nan() {
            return timestamp;
        }
        let expected = last.wrapping_add(round(silence * self.spec.clock_rate as f64));
        timestamp.wrapping_add(expected.wrapping_sub(timestamp).wrapping_add(1 << 31) >> 32 << 32)
    }

    fn read(&mut self, reader: Option<usize>, arrival: &Arrival) -> Reading {
        let payload = arrival.data.get(arrival.payload.0 as usize..arrival.payload.1 as usize).unwrap_or(&[]);
        let data = &arrival.data;
        let extension = |id| arrival.extensions.find(data, id).map(|span| &data[span.0 as usize..span.1 as usize]);
        match reader.and_then(|index| self.readers.get_mut(index)) {
            Some((_, reader)) if !payload.is_empty() => reader.read(payload, extension),
            _ => Reading::only(Info::None),
        }
    }

    fn count(&mut self, arrival: &Arrival, payload: Span, reading: &Reading, in_order: bool) {
        let counters = &mut self.counters;
        let payload_bytes = u64::from(payload.1.saturating_sub(payload.0));
        counters.received += 1;
        counters.packets += 1;
        counters.header_bytes += u64::from(arrival.payload.0);
        counters.bytes += payload_bytes;
        let layer = (reading.spatial & 3) << 2 | reading.temporal & 3;
        counters.layer_bytes[layer as usize] += payload_bytes;
        if payload_bytes == 0 {
            counters.padding_packets += 1;
        }
        if arrival.marker != 0 {
            counters.frames += 1;
        }
        if arrival.recovered {
            counters.recovered += 1;
        } else if !in_order {
            counters.out_of_order += 1;
        }
    }

    /// Jitter, once per timestamp (RFC 3550 §6.4.1), and the audio level (RFC 6464).
    fn observe(&mut self, now: f64, timestamp: i64, arrival: &Arrival) {
        let clock_rate = self.spec.clock_rate;
        let step = timestamp - self.counters.last_timestamp;
        if step != 0 && !arrival.recovered {
            let transit = now * clock_rate as f64 - timestamp as f64;
            self.counters.jitter += ((transit - self.last_transit).abs() - self.counters.jitter) / 16.0;
            self.last_transit = transit;
        }
        if step > 0 {
            if let Some((start, end)) = arrival.extensions.find(&arrival.data, self.spec.extensions.audio_level) {
                if end > start {
                    let level = arrival.data[start as usize] & 0x7F;
                    let heard_ms = ((step as f64 * 1000.0) / clock_rate as f64).min(MAX_LEVEL_MS);
                    match self.levels.iter_mut().find(|(one, _)| *one == level) {
                        Some((_, ms)) => *ms += heard_ms,
                        None => self.levels.push((level, heard_ms)),
                    }
                }
            }
            self.counters.last_timestamp = timestamp;
        }
        self.counters.last_arrival = now;
    }
}

/// What the table holds for a number that was heard.
fn cycle(position: i64) -> u8 {
    ((position >> 13) % 255 + 1) as u8
}
