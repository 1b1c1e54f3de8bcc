//! Payloads unchanged, or almost: in RED the types of the blocks inside are translated with the packet's (RFC 2198 §3).

use std::sync::Arc;

use crate::codecs::red;
use crate::codecs::vp8::Prefix;
use crate::leg::{LegState, Out, Passed};
use crate::packet::{Body, Packet};
use crate::spec::{lookup, Codec};
use crate::stream::Stream;

/// The common case of a leg.
#[derive(Default)]
pub struct Plain {
    /// Of the source, where blocks need translation.
    red_types: Vec<u8>,
}

impl Plain {
    /// One packet.
    pub fn forward<P>(&mut self, leg: &mut LegState, out: &mut Out<P>, now: f64, packet: &Arc<Packet>) {
        let mut first = leg.first_for(packet);
        if first == 0 && !packet.is_empty() {
            leg.dropped += 1;
        }
        let mut translated = None;
        if first != 0 && self.red_types.contains(&packet.payload_type) {
            let types = &leg.spec.payload_types;
            translated = red::rewrite_payload_types(packet.payload(), |one| lookup(types, one)).ok();
            if translated.is_none() {
                first = 0;
            }
        }
        let placed = leg.place(now, packet.position, packet.timestamp, first != 0);
        let Some(placed) = placed else {
            return;
        };
        if first == 0 {
            leg.fill(out, now, placed);
            return;
        }
        let body = translated.map_or_else(|| Body::payload_from(packet, 0), Body::own);
        let first = first | packet.marker;
        leg.send(out, now, placed.0, placed.1, first, Prefix::default(), body, Some(Passed::of(packet)));
    }

    /// Another source.
    pub fn handle_switch(&mut self, leg: &LegState, stream: &Stream) {
        self.red_types.clear();
        if leg.spec.payload_types.iter().any(|(source, target)| source != target) {
            let red = stream.spec.codecs.iter().filter(|(_, codec)| *codec == Codec::Red);
            self.red_types.extend(red.map(|(one, _)| one));
        }
    }
}
