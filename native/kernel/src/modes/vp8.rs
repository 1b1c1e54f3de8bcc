//! VP8 on a leg (`sansio/kernel/vp8.py`): picture ids rewritten, temporal layers above the ceiling dropped.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::codecs::vp8::{encode, Prefix};
use crate::leg::{LegState, Out, Passed, MAX_GAP, MAX_RANGES, WAITING};
use crate::packet::{read_vp8, Body, Info, Packet, Vp8Info};
use crate::spec::Codec;
use crate::stream::Stream;

const MAX_DROPPED: usize = 128;
const PATIENCE_PICTURES: u32 = 90;

/// The VP8 side of one leg.
pub struct Vp8 {
    /// Last forwarded.
    pub layers: (i64, i64),
    types: Vec<u8>,
    ceiling: i64,
    epoch: u64,
    /// A picture that passes although it is above the ceiling.
    exempt: i64,
    /// Pictures, oldest first.
    dropped: VecDeque<i64>,
    /// From picture, offset.
    ranges: Vec<(i64, i64)>,
    picture_offset: i64,
    tl0_offset: i64,
    key_offset: i64,
    /// As sent.
    last_picture: i64,
    last_tl0: i64,
    last_key: i64,
    vain: u32,
    /// The picture that is being forwarded in order, and its descriptor.
    current: Option<(i64, Prefix)>,
}

impl Vp8 {
    /// A fresh one.
    pub fn new(leg: &LegState) -> Self {
        Vp8 {
            layers: (-1, -1),
            types: Vec::new(),
            ceiling: leg.spec.max_temporal,
            epoch: leg.epoch,
            exempt: -1,
            dropped: VecDeque::new(),
            ranges: Vec::new(),
            picture_offset: 0,
            tl0_offset: 0,
            key_offset: 0,
            last_picture: -1,
            last_tl0: -1,
            last_key: -1,
            vain: 0,
            current: None,
        }
    }

    /// One packet.
    pub fn forward<P>(&mut self, leg: &mut LegState, out: &mut Out<P>, now: f64, packet: &Arc<Packet>) {
        let info = match &packet.info {
            Info::Vp8(info) if self.types.contains(&packet.payload_type) => Some(info),
            _ => None,
        };
        let first = leg.first_for(packet);
        let Some(info) = info.filter(|_| first != 0) else {
            if !packet.is_empty() {
                leg.dropped += 1;
            }
            if let Some(placed) = self.place_unwanted(leg, now, packet) {
                leg.fill(out, now, placed);
            }
            return;
        };
        let step = packet.position - leg.highest;
        if step == 1 {
            if let Some((_, prefix)) = self.current.filter(|(picture, _)| *picture == info.picture) {
                if let Some(placed) = leg.place(now, packet.position, packet.timestamp, true) {
                    send(leg, out, now, placed, packet, info, prefix.with_first(info.first));
                }
                return;
            }
        }
        let wanted = self.wants(leg, step, packet.timestamp, info);
        if !wanted {
            leg.dropped += 1;
        }
        let Some(placed) = leg.place(now, packet.position, packet.timestamp, wanted) else {
            return;
        };
        let in_order = placed.0 > leg.last_number;
        let prefix = if wanted { self.describe(leg, placed.0, packet.timestamp, info) } else { None };
        if in_order {
            self.current = prefix.filter(|_| info.picture >= 0).map(|prefix| (info.picture, prefix));
        }
        match prefix {
            Some(prefix) => send(leg, out, now, placed, packet, info, prefix),
            None => leg.fill(out, now, placed),
        }
    }

    /// Another source.
    pub fn handle_switch(&mut self, leg: &LegState, stream: &Stream) {
        // What another codec's reader made of a packet is none of ours: such packets are dropped like unknown types.
        self.types.clear();
        let codecs = stream.spec.codecs.iter().filter(|(_, codec)| *codec == Codec::Vp8);
        self.types.extend(codecs.map(|(one, _)| one));
        self.ceiling = leg.spec.max_temporal;
        self.current = None;
    }

    /// A frame of our own.
    pub fn adopt(&mut self, leg: &LegState, payload: &[u8]) -> (Prefix, Body) {
        let Some((_, info)) = read_vp8(payload) else {
            return (Prefix::default(), Body::own(payload.to_vec()));
        };
        let Vp8Info { mut picture, mut tl0, mut temporal, mut key_index, sync, first, .. } = info;
        self.current = None;
        if self.last_picture >= 0 {
            picture = self.last_picture + 1;
        }
        if self.last_tl0 >= 0 {
            (tl0, temporal) = ((self.last_tl0 + 1) & 0xFF, temporal.max(0));
        }
        if self.last_key >= 0 {
            key_index = (self.last_key + 1) & 0x1F;
        }
        (self.last_picture, self.last_tl0, self.last_key) = (picture, tl0, key_index);
        if leg.highest != WAITING && !self.ranges.is_empty() {
            self.picture_offset -= 1;
            self.tl0_offset -= 1;
            self.key_offset -= 1;
            self.add_range(picture + self.picture_offset + 1);
        }
        let sent_picture = if picture >= 0 { picture & 0x7FFF } else { -1 };
        let body = Body::own(payload[info.header_bytes as usize..].to_vec());
        (encode(first, sent_picture, tl0, temporal, sync, key_index), body)
    }

    /// Place what has no picture of ours; whatever is in order there ends the current picture.
    fn place_unwanted(&mut self, leg: &mut LegState, now: f64, packet: &Packet) -> Option<(i64, i64)> {
        let placed = leg.place(now, packet.position, packet.timestamp, false)?;
        if placed.0 > leg.last_number {
            self.current = None;
        }
        Some(placed)
    }

    /// Whether a packet passes the ceiling; takes note of pictures that do not.
    fn wants(&mut self, leg: &LegState, step: i64, timestamp: i64, info: &Vp8Info) -> bool {
        let picture = if info.picture >= 0 { info.picture } else { timestamp };
        if step > MAX_GAP {
            self.ceiling = leg.spec.max_temporal;
            return true;
        }
        if self.dropped.contains(&picture) {
            return false;
        }
        if step <= 0 {
            return true;
        }
        if info.starts {
            self.move_ceiling(leg.spec.max_temporal, info);
        }
        if info.temporal <= self.ceiling || picture == self.exempt {
            return true;
        }
        if step > 1 || !info.starts {
            self.exempt = picture;
            return true;
        }
        self.drop_picture(picture);
        false
    }

    fn move_ceiling(&mut self, wanted: i64, info: &Vp8Info) {
        if info.is_key || wanted <= self.ceiling {
            self.ceiling = wanted;
            self.vain = 0;
        } else if self.ceiling < info.temporal && info.temporal <= wanted {
            self.vain += 1;
            if (info.sync && info.temporal == self.ceiling + 1) || self.vain > PATIENCE_PICTURES {
                self.ceiling = info.temporal;
                self.vain = 0;
            }
        }
    }

    fn drop_picture(&mut self, picture: i64) {
        self.dropped.push_back(picture);
        if self.dropped.len() > MAX_DROPPED {
            self.dropped.pop_front();
        }
        self.picture_offset += 1;
        self.add_range(picture + 1);
    }

    /// The descriptor of a packet that got a number; none if its picture is too old to name.
    fn describe(&mut self, leg: &LegState, number: i64, timestamp: i64, info: &Vp8Info) -> Option<Prefix> {
        let Vp8Info { picture, tl0, key_index, temporal, .. } = *info;
        if leg.epoch != self.epoch {
            self.rebase(leg.epoch, timestamp, info);
        }
        let mut offset = self.picture_offset;
        if number > leg.last_number {
            if picture >= 0 {
                self.last_picture = picture - offset;
            }
            if tl0 >= 0 {
                self.last_tl0 = (tl0 - self.tl0_offset) & 0xFF;
            }
            if key_index >= 0 {
                self.last_key = (key_index - self.key_offset) & 0x1F;
            }
            self.layers = (0, temporal.max(0));
        } else if picture >= 0 {
            offset = self.ranges.iter().rev().find(|(start, _)| picture >= *start)?.1;
        }
        let cut = |value: i64, offset: i64, mask: i64| if value >= 0 { (value - offset) & mask } else { value };
        Some(encode(
            info.first,
            cut(picture, offset, 0x7FFF),
            cut(tl0, self.tl0_offset, 0xFF),
            temporal,
            info.sync,
            cut(key_index, self.key_offset, 0x1F),
        ))
    }

    /// The first packet of another source: each number goes on by one.
    fn rebase(&mut self, epoch: u64, timestamp: i64, info: &Vp8Info) {
        let step = |value: i64, last: i64| if value >= 0 && last >= 0 { value - last - 1 } else { 0 };
        self.epoch = epoch;
        self.picture_offset = step(info.picture, self.last_picture);
        self.tl0_offset = step(info.tl0, self.last_tl0);
        self.key_offset = step(info.key_index, self.last_key);
        self.dropped.clear();
        self.exempt = -1;
        self.ranges.clear();
        self.ranges.push((if info.picture >= 0 { info.picture } else { timestamp }, self.picture_offset));
    }

    fn add_range(&mut self, start: i64) {
        if self.ranges.last().is_some_and(|range| range.0 == start) {
            self.ranges.pop();
        }
        self.ranges.push((start, self.picture_offset));
        if self.ranges.len() > MAX_RANGES {
            self.ranges.remove(0);
        }
    }
}

fn send<P>(
    leg: &mut LegState,
    out: &mut Out<P>,
    now: f64,
    placed: (i64, i64),
    packet: &Arc<Packet>,
    info: &Vp8Info,
    prefix: Prefix,
) {
    let first = leg.first_for(packet) | packet.marker;
    let body = Body::payload_from(packet, info.header_bytes);
    leg.send(out, now, placed.0, placed.1, first, prefix, body, Some(Passed::of(packet)));
}
