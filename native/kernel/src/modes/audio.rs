//! Between RED and Opus (`sansio/kernel/audio.py`): one side of a subscription may know what the other does not.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::codecs::red::{encode, MAX_BLOCK_BYTES, MAX_TIMESTAMP_OFFSET};
use crate::codecs::vp8::Prefix;
use crate::leg::{LegState, Out, Passed, WAITING};
use crate::packet::{Body, Info, Packet, RedInfo};
use crate::spec::Codec;
use crate::stream::Stream;

const MAX_DISTANCE: i64 = 2;
const MAX_REMEMBERED: usize = 32;
const HEADER_BYTES: usize = 64;

/// A RED source for a receiver of Opus.
#[derive(Default)]
pub struct RedToOpus {
    red_types: Vec<u8>,
    /// Positions sent out of redundancy, oldest first.
    recovered: VecDeque<i64>,
}

impl RedToOpus {
    /// One packet.
    pub fn forward<P>(
        &mut self,
        leg: &mut LegState,
        out: &mut Out<P>,
        now: f64,
        stream: &Stream,
        packet: &Arc<Packet>,
    ) {
        let mut first = leg.first_for(packet);
        let mut body = None;
        if first != 0 && self.red_types.contains(&packet.payload_type) {
            match &packet.info {
                Info::Red(info) => {
                    self.recover(leg, out, now, stream, packet, first, info);
                    body = Some(Body::part(packet, info.primary.0, info.primary.1));
                }
                _ => first = 0,
            }
        }
        if self.recovered.contains(&packet.position) {
            return;
        }
        let body = body.unwrap_or_else(|| Body::payload_from(packet, 0));
        if body.bytes().is_empty() {
            first = 0;
        }
        let Some(placed) = leg.place(now, packet.position, packet.timestamp, first != 0) else {
            return;
        };
        if first == 0 {
            leg.fill(out, now, placed);
            return;
        }
        let first = first | packet.marker;
        leg.send(out, now, placed.0, placed.1, first, Prefix::default(), body, Some(Passed::of(packet)));
    }

    /// Another source.
    pub fn handle_switch(&mut self, stream: &Stream) {
        self.recovered.clear();
        self.red_types.clear();
        let red = stream.spec.codecs.iter().filter(|(_, codec)| *codec == Codec::Red);
        self.red_types.extend(red.map(|(one, _)| one));
    }

    /// Send what is missing right before a packet, oldest first.
    fn recover<P>(
        &mut self,
        leg: &mut LegState,
        out: &mut Out<P>,
        now: f64,
        stream: &Stream,
        packet: &Arc<Packet>,
        first: u16,
        info: &RedInfo,
    ) {
        if leg.highest == WAITING || packet.position - leg.highest < 2 {
            return;
        }
        let mut newest = leg.last_timestamp + leg.time_offset;
        for &(back, age, (start, end)) in &info.older {
            let missing = packet.position - back;
            if back > MAX_DISTANCE || missing <= leg.highest || stream.has_arrived(missing) {
                continue;
            }
            // Number and time must agree, or the block is not what its place says.
            let timestamp = packet.timestamp - age;
            if newest >= timestamp || timestamp >= packet.timestamp {
                continue;
            }
            if let Some(placed) = leg.place(now, missing, timestamp, true) {
                newest = timestamp;
                self.remember(leg, missing);
                let block = Body::part(packet, start, end);
                leg.send(out, now, placed.0, placed.1, first, Prefix::default(), block, None);
            }
        }
    }

    fn remember(&mut self, leg: &mut LegState, position: i64) {
        if !self.recovered.contains(&position) {
            self.recovered.push_back(position);
        }
        if self.recovered.len() > MAX_REMEMBERED {
            if let Some(oldest) = self.recovered.pop_front() {
                // Up to there nothing late is sent: it might go out twice under one number, with other bytes.
                leg.base = leg.base.max(oldest + 1);
            }
        }
    }
}

/// An Opus source for a receiver of RED: one packet.
pub fn opus_to_red<P>(leg: &mut LegState, out: &mut Out<P>, now: f64, stream: &Stream, packet: &Arc<Packet>) {
    let mut first = leg.first_for(packet);
    let Some(placed) = leg.place(now, packet.position, packet.timestamp, first != 0) else {
        return;
    };
    if first == 0 {
        leg.fill(out, now, placed);
        return;
    }
    let payload = packet.payload();
    let red_type = leg.spec.red_payload_type;
    let body = if red_type != 0 && payload.len() <= MAX_BLOCK_BYTES {
        let block_type = (first & 0x7F) as u8;
        first = 0x8000 | u16::from(red_type);
        Body::own(encode(block_type, payload, &redundant(leg, stream, packet)))
    } else {
        Body::payload_from(packet, 0)
    };
    let first = first | packet.marker;
    leg.send(out, now, placed.0, placed.1, first, Prefix::default(), body, Some(Passed::of(packet)));
}

/// Blocks to repeat, oldest first.
fn redundant<'a>(leg: &LegState, stream: &'a Stream, packet: &Packet) -> Vec<(i64, &'a [u8])> {
    let mut blocks = Vec::new();
    let mut size = packet.payload().len();
    for earlier in (packet.position - MAX_DISTANCE).max(leg.base)..packet.position {
        let Some(found) = stream.packet(earlier) else {
            continue;
        };
        if found.is_empty() || found.payload_type != packet.payload_type {
            continue;
        }
        let age = packet.timestamp - found.timestamp;
        let payload = found.payload();
        if 0 < age && age <= MAX_TIMESTAMP_OFFSET && payload.len() <= MAX_BLOCK_BYTES {
            blocks.push((age, payload));
            size += 4 + payload.len();
        }
    }
    if size + HEADER_BYTES > leg.spec.mtu {
        blocks.clear();
    }
    blocks
}
