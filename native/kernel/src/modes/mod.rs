//! What happens to payloads on a leg, each module the twin of one in `sansio/kernel`.

pub mod audio;
pub mod plain;
pub mod svc;
pub mod vp8;

use std::sync::Arc;

use crate::codecs::vp8::Prefix;
use crate::leg::{LegState, Out};
use crate::packet::{Body, Packet};
use crate::spec::LegMode;
use crate::stream::Stream;

/// One object per leg, chosen by its mode.
pub enum Mode {
    /// Payload unchanged.
    Plain(plain::Plain),
    /// VP8.
    Vp8(Box<vp8::Vp8>),
    /// Layers.
    Svc(Box<svc::Svc>),
    /// Out of RED.
    RedToOpus(audio::RedToOpus),
    /// Into RED.
    OpusToRed,
}

impl Mode {
    /// A fresh one.
    pub fn new(mode: LegMode, leg: &LegState) -> Self {
        match mode {
            LegMode::Plain => Mode::Plain(plain::Plain::default()),
            LegMode::Vp8 => Mode::Vp8(Box::new(vp8::Vp8::new(leg))),
            LegMode::Svc => Mode::Svc(Box::default()),
            LegMode::RedToOpus => Mode::RedToOpus(audio::RedToOpus::default()),
            LegMode::OpusToRed => Mode::OpusToRed,
        }
    }

    /// Send what is wanted of these packets, which came in this order.
    pub fn forward<P>(
        &mut self,
        leg: &mut LegState,
        out: &mut Out<P>,
        now: f64,
        stream: &Stream,
        packets: &[Arc<Packet>],
    ) {
        if leg.hold(out, packets) {
            return;
        }
        for packet in packets {
            match self {
                Mode::Plain(mode) => mode.forward(leg, out, now, packet),
                Mode::Vp8(mode) => mode.forward(leg, out, now, packet),
                Mode::Svc(mode) => mode.forward(leg, out, now, packet),
                Mode::RedToOpus(mode) => mode.forward(leg, out, now, stream, packet),
                Mode::OpusToRed => audio::opus_to_red(leg, out, now, stream, packet),
            }
        }
    }

    /// The next packet is of another source: codec numbering must go on without a step.
    pub fn handle_switch(&mut self, leg: &LegState, stream: &Stream) {
        match self {
            Mode::Plain(mode) => mode.handle_switch(leg, stream),
            Mode::Vp8(mode) => mode.handle_switch(leg, stream),
            Mode::Svc(mode) => mode.handle_switch(),
            Mode::RedToOpus(mode) => mode.handle_switch(stream),
            Mode::OpusToRed => {}
        }
    }

    /// Fit a frame of our own into the codec numbering.
    pub fn adopt(&mut self, leg: &LegState, payload: &[u8]) -> (Prefix, Body) {
        match self {
            Mode::Vp8(mode) if !payload.is_empty() => mode.adopt(leg, payload),
            _ if payload.is_empty() => (Prefix::default(), Body::default()),
            _ => (Prefix::default(), Body::own(payload.to_vec())),
        }
    }

    /// Layers last forwarded, -1 before.
    pub fn layers(&self) -> (i64, i64) {
        match self {
            Mode::Vp8(mode) => mode.layers,
            Mode::Svc(mode) => mode.layers,
            _ => (-1, -1),
        }
    }
}
