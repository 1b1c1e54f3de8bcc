//! The kernel: sessions, streams and legs tied together under slot numbers, as in `sansio/kernel/pure.py`.

use std::sync::Arc;

use crate::arena::{Arena, Batch};
use crate::leg::{LegState, Out};
use crate::modes::Mode;
use crate::notice::{Drops, Notice};
use crate::session::{Draw, Intake, Session};
use crate::spec::{LegSpec, Misuse, StreamSpec};
use crate::srtp::Profile;
use crate::stream::Stream;
use crate::table::Table;

/// One leg.
pub struct Leg {
    /// Numbering and sending.
    pub state: LegState,
    /// Payloads.
    pub mode: Mode,
}

/// Everything; `P` says where datagrams go.
pub struct Kernel<P> {
    arena: Arena<P>,
    drops: Drops,
    sessions: Table<Session<P>>,
    streams: Table<Stream>,
    legs: Table<Leg>,
    next_slot: i64,
}

impl<P> Default for Kernel<P> {
    fn default() -> Self {
        Kernel {
            arena: Arena::default(),
            drops: Drops::default(),
            sessions: Table::new("session"),
            streams: Table::new("stream"),
            legs: Table::new("leg"),
            next_slot: 0,
        }
    }
}

/// What comes in: datagrams as received, or packets decrypted before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// SRTP and SRTCP.
    Protected,
    /// RTP.
    Plain,
}

impl<P> Kernel<P> {
    // Sessions

    /// A new session; its slot.
    pub fn open_session(&mut self, profile: Profile, local_key: &[u8], remote_key: &[u8]) -> Result<i64, Misuse> {
        let slot = self.take_slot();
        self.sessions.insert(slot, Session::new(profile, local_key, remote_key)?);
        Ok(slot)
    }

    /// Forget the session with its streams and the legs to and from it.
    pub fn close_session(&mut self, slot: i64) -> Result<(), Misuse> {
        let session = self.sessions.find(slot)?;
        let streams = session.streams.clone();
        for leg in session.legs.iter().copied().collect::<Vec<_>>() {
            self.remove_leg(leg)?;
        }
        for stream in streams {
            let legs = self.streams.find(stream)?.legs.clone();
            for leg in legs {
                if let Some(leg) = self.legs.get(leg).map(|leg| leg.state.slot) {
                    self.remove_leg(leg)?;
                }
            }
            self.remove_stream(stream)?;
        }
        self.sessions.remove(slot);
        Ok(())
    }

    /// Where the session's datagrams go.
    pub fn set_path(&mut self, session: i64, path: P) -> Result<(), Misuse> {
        self.sessions.find_mut(session)?.path = Some(Arc::new(path));
        Ok(())
    }

    /// A session.
    pub fn session(&mut self, slot: i64) -> Result<&mut Session<P>, Misuse> {
        self.sessions.find_mut(slot)
    }

    // Receiving

    /// Start to receive an SSRC; its slot.
    pub fn add_stream(&mut self, session: i64, spec: StreamSpec) -> Result<i64, Misuse> {
        let session_index = self.sessions.index(session)?;
        let slot = self.take_slot();
        let index = self.streams.insert(slot, Stream::new(slot, session_index, spec));
        let (Some(session), Some(stream)) = (self.sessions.get_mut(session_index), self.streams.get(index)) else {
            return Ok(slot);
        };
        if let Err(misuse) = session.add_stream(index, stream) {
            self.streams.remove(slot);
            return Err(misuse);
        }
        Ok(slot)
    }

    /// Learn the RTX SSRC of a stream.
    pub fn set_rtx(&mut self, stream: i64, rtx_ssrc: u32) -> Result<(), Misuse> {
        let index = self.streams.index(stream)?;
        let stream = self.streams.find_mut(stream)?;
        match self.sessions.get_mut(stream.session) {
            Some(session) => session.set_rtx(index, stream, rtx_ssrc),
            None => Ok(()),
        }
    }

    /// Stop; its legs stay, without a source.
    pub fn remove_stream(&mut self, slot: i64) -> Result<(), Misuse> {
        let index = self.streams.index(slot)?;
        let Some(stream) = self.streams.remove(slot) else {
            return Ok(());
        };
        for leg in &stream.legs {
            if let Some(leg) = self.legs.get_mut(*leg) {
                leg.state.detach();
            }
        }
        if let Some(session) = self.sessions.get_mut(stream.session) {
            session.remove_stream(index, &stream);
        }
        Ok(())
    }

    /// A stream.
    pub fn stream(&mut self, slot: i64) -> Result<&mut Stream, Misuse> {
        self.streams.find_mut(slot)
    }

    /// Take in what one session received, and forward it. `arrivals` says when each came, which is `now` if it is empty.
    pub fn ingest<D: AsRef<[u8]>>(
        &mut self,
        now: f64,
        session: i64,
        form: Form,
        datagrams: &[D],
        arrivals: &[f64],
    ) -> Result<Vec<Notice>, Misuse> {
        let session = self.sessions.find_mut(session)?;
        let mut intake =
            Intake { streams: &mut self.streams, touched: Vec::new(), notices: Vec::new(), drops: &mut self.drops };
        let count = if arrivals.is_empty() { datagrams.len() } else { arrivals.len() };
        for (index, datagram) in datagrams.iter().take(count).enumerate() {
            match form {
                Form::Plain => session.handle_plain(now, datagram.as_ref(), &mut intake),
                Form::Protected => {
                    let at = arrivals.get(index).copied().unwrap_or(now);
                    session.handle_datagram(now, at, datagram.as_ref(), &mut intake);
                }
            }
        }
        let Intake { touched, mut notices, .. } = intake;
        self.forward(now, &touched, &mut notices);
        Ok(notices)
    }

    /// Subscriber-major: each leg sends the whole burst of its stream before the next leg begins.
    fn forward(&mut self, now: f64, touched: &[usize], notices: &mut Vec<Notice>) {
        for &index in touched {
            let Some(stream) = self.streams.get_mut(index) else {
                continue;
            };
            let mut packets = std::mem::take(&mut stream.pending);
            if packets.is_empty() {
                continue;
            }
            for &leg in &stream.legs {
                let Some(leg) = self.legs.get_mut(leg) else {
                    continue;
                };
                let Some(session) = self.sessions.get_mut(leg.state.session) else {
                    continue;
                };
                let mut out = Out { session, arena: &mut self.arena };
                leg.mode.forward(&mut leg.state, &mut out, now, stream, &packets);
                notices.append(&mut leg.state.notices);
            }
            packets.clear();
            stream.pending = packets;
        }
    }

    // Forwarding

    /// A leg without a source; its slot.
    pub fn add_leg<E: From<Misuse>>(&mut self, spec: LegSpec, draw: Draw<E>) -> Result<i64, E> {
        let session_index = self.sessions.index(spec.session)?;
        let slot = self.take_slot();
        let Some(session) = self.sessions.get_mut(session_index) else {
            return Ok(slot);
        };
        let mode = spec.mode;
        let state = LegState::new(slot, session_index, session, spec, draw)?;
        session.legs.insert(slot);
        let mode = Mode::new(mode, &state);
        self.legs.insert(slot, Leg { state, mode });
        Ok(slot)
    }

    /// Replace the plain data of a leg.
    pub fn set_leg<E: From<Misuse>>(&mut self, slot: i64, spec: LegSpec, draw: Draw<E>) -> Result<(), E> {
        let leg = self.legs.find_mut(slot)?;
        let Some(session) = self.sessions.get_mut(leg.state.session) else {
            return Ok(());
        };
        let (old_mode, mode) = (leg.state.spec.mode, spec.mode);
        leg.state.set_spec(session, spec, draw)?;
        if mode != old_mode {
            leg.mode = Mode::new(mode, &leg.state);
        }
        Ok(())
    }

    /// The end of a leg.
    pub fn remove_leg(&mut self, slot: i64) -> Result<(), Misuse> {
        self.detach(slot)?;
        let Some(mut leg) = self.legs.remove(slot) else {
            return Ok(());
        };
        if let Some(session) = self.sessions.get_mut(leg.state.session) {
            leg.state.close(session);
            session.legs.remove(&slot);
        }
        Ok(())
    }

    /// Make a stream the leg's source, from the packet at `position` on.
    pub fn switch(&mut self, now: f64, leg: i64, stream: i64, position: i64, timestamp: i64) -> Result<(), Misuse> {
        let leg_index = self.legs.index(leg)?;
        let stream_index = self.streams.index(stream)?;
        self.detach(leg)?;
        let leg = self.legs.find_mut(leg)?;
        let stream = self.streams.find_mut(stream)?;
        let Some(session) = self.sessions.get_mut(leg.state.session) else {
            return Ok(());
        };
        stream.legs.push(leg_index);
        leg.state.follow((stream_index, stream.slot), &stream.spec, position, timestamp);
        leg.mode.handle_switch(&leg.state, stream);
        let mut out = Out { session, arena: &mut self.arena };
        leg.mode.forward(&mut leg.state, &mut out, now, stream, &stream.packets_from(position));
        Ok(())
    }

    /// Leave the leg without a source.
    pub fn detach(&mut self, slot: i64) -> Result<(), Misuse> {
        let index = self.legs.index(slot)?;
        let stream = self.legs.find_mut(slot)?.state.detach();
        if let Some(stream) = stream.and_then(|stream| self.streams.get_mut(stream)) {
            stream.legs.retain(|leg| *leg != index);
        }
        Ok(())
    }

    /// Send a frame of our own on the leg.
    pub fn inject(
        &mut self,
        now: f64,
        leg: i64,
        payload: &[u8],
        timestamp_step: i64,
        marker: bool,
        payload_type: Option<u8>,
        padding: i64,
    ) -> Result<(), Misuse> {
        let leg = self.legs.find_mut(leg)?;
        let Some(session) = self.sessions.get_mut(leg.state.session).filter(|session| session.path.is_some()) else {
            return Ok(());
        };
        let padding = u8::try_from(padding).map_err(|_| Misuse("padding takes at most 255 bytes".into()))?;
        let frame = leg.mode.adopt(&leg.state, payload);
        let mut out = Out { session, arena: &mut self.arena };
        leg.state.inject(&mut out, now, frame, timestamp_step, marker, payload_type, padding);
        Ok(())
    }

    /// Answer a NACK.
    pub fn retransmit(&mut self, now: f64, leg: i64, sequence_numbers: &[i64], rtt: f64) -> Result<usize, Misuse> {
        let leg = self.legs.find_mut(leg)?;
        let Some(session) = self.sessions.get_mut(leg.state.session) else {
            return Ok(0);
        };
        let mut out = Out { session, arena: &mut self.arena };
        Ok(leg.state.retransmit(&mut out, now, sequence_numbers, rtt))
    }

    /// A leg.
    pub fn leg(&self, slot: i64) -> Result<&Leg, Misuse> {
        self.legs.find(slot)
    }

    /// Protect and send a compound or reduced-size RTCP packet.
    pub fn send_rtcp(&mut self, session: i64, packet: &[u8]) -> Result<(), Misuse> {
        let session = self.sessions.find_mut(session)?;
        let Some(path) = session.path.clone() else {
            return Ok(());
        };
        let protected = session.protect_rtcp(packet).ok_or_else(|| Misuse("not an RTCP packet".into()))?;
        self.arena.add(&path, &protected);
        Ok(())
    }

    /// Datagrams to send since the last call, in order.
    pub fn poll_transmits(&mut self) -> Vec<Batch<P>> {
        self.arena.poll()
    }

    /// Packets dropped since the last call.
    pub fn poll_drops(&mut self) -> Drops {
        std::mem::take(&mut self.drops)
    }

    fn take_slot(&mut self) -> i64 {
        let slot = self.next_slot;
        self.next_slot += 1;
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Codec, ExtensionIds, LegMode};
    use crate::srtp::{Keys, Replay};

    const KEY: [u8; 28] = [1; 28];

    fn plain(number: u16) -> Vec<u8> {
        let mut packet = vec![0x80, 96, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1];
        packet[2..4].copy_from_slice(&number.to_be_bytes());
        packet.extend_from_slice(b"payload");
        packet
    }

    fn sealed(keys: &Keys, number: u16) -> Vec<u8> {
        let mut packet = plain(number);
        let end = packet.len();
        packet.resize(end + 16, 0);
        keys.seal(&mut packet, 12, end, 1, u64::from(number)).unwrap();
        packet
    }

    fn leg(session: i64, ssrc: u32) -> LegSpec {
        LegSpec {
            session,
            ssrc,
            payload_types: vec![(96, 106)],
            mode: LegMode::Plain,
            clock_rate: 90000,
            extensions: ExtensionIds::default(),
            rtx_ssrc: 0,
            rtx_payload_types: vec![],
            max_spatial: 3,
            max_temporal: 7,
            paused: false,
            mtu: 1500,
            red_payload_type: 0,
            playout_delay_ms: None,
            cuts_trailers: false,
        }
    }

    fn forwarding() -> (Kernel<u32>, i64, i64, i64) {
        let mut kernel = Kernel::default();
        let publisher = kernel.open_session(Profile::AeadAes128Gcm, &KEY, &KEY).unwrap();
        let subscriber = kernel.open_session(Profile::AeadAes128Gcm, &KEY, &KEY).unwrap();
        kernel.set_path(subscriber, 7).unwrap();
        let spec = StreamSpec {
            ssrc: 1,
            clock_rate: 90000,
            codecs: vec![(96, Codec::Opaque)],
            extensions: ExtensionIds::default(),
            rtx_ssrc: 0,
            rtx_payload_types: vec![],
            history: 64,
        };
        let stream = kernel.add_stream(publisher, spec).unwrap();
        let mut draw = |_| Ok::<_, Misuse>(5);
        let leg = kernel.add_leg(leg(subscriber, 9), &mut draw).unwrap();
        (kernel, publisher, stream, leg)
    }

    #[test]
    fn a_packet_leaves_under_the_numbers_of_its_leg() {
        let (mut kernel, publisher, stream, leg) = forwarding();
        let keys = Keys::new(Profile::AeadAes128Gcm, &KEY).unwrap();
        let first = [sealed(&keys, 100)];
        let notices = kernel.ingest(0.0, publisher, Form::Protected, &first, &[]).unwrap();
        assert_eq!(notices[0].position, 100);
        kernel.switch(0.0, leg, stream, 100, 1000).unwrap();
        kernel.ingest(0.1, publisher, Form::Protected, &[sealed(&keys, 101)], &[]).unwrap();
        let batches = kernel.poll_transmits();
        let run = &batches[0].runs[0];
        assert_eq!((*run.path, run.segment_bytes), (7, plain(0).len() + 16));
        let mut replay = Replay::default();
        for (index, data) in batches[0].chunk.bytes().chunks(run.segment_bytes).enumerate() {
            let mut data = data.to_vec();
            replay.open(&keys, &mut data).unwrap();
            assert_eq!(data[..4], [0x80, 106, 0, 5 + index as u8]);
            assert_eq!(data[12..], *b"payload");
        }
        assert_eq!(kernel.retransmit(1.0, leg, &[5, 6, 7], 0.0), Ok(2));
        assert_eq!(kernel.leg(leg).unwrap().state.counters.packets, 2);
    }

    #[test]
    fn slots_end_with_their_session() {
        let (mut kernel, publisher, stream, leg) = forwarding();
        kernel.switch(0.0, leg, stream, 0, 0).unwrap();
        kernel.close_session(publisher).unwrap();
        assert!(kernel.stream(stream).is_err());
        assert!(kernel.leg(leg).is_err());
        assert_eq!(kernel.close_session(publisher), Err(Misuse(format!("{publisher} is no session"))));
    }
}
