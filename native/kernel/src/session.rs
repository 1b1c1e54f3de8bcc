//! The SRTP half of one peer transport (`sansio/kernel/sessions.py`, `srtp.py`): keys, path, received SSRCs, and the
//! transport-wide counters.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use crate::notice::{DropReason, Drops, Notice, NoticeKind};
use crate::numbers::{serial_difference, widen};
use crate::rtp::{self, Header};
use crate::spec::Misuse;
use crate::srtp::{ssrc_of_rtcp, Keys, Profile, Refused, Replay, SendIndex};
use crate::stream::{Arrival, Stream};
use crate::table::Table;

const MAX_ARRIVALS: usize = 8192;
const MAX_SENT: usize = 2048;
const MAX_DATAGRAM_BYTES: usize = 65536;
const MIN_RTP_BYTES: usize = 12;
const MIN_RTCP_BYTES: usize = 8;
const MAX_RTCP_BYTES: usize = 65000;
/// Contexts of received SSRCs kept.
const MAX_INBOUND_SSRCS: usize = 256;
/// Contexts of SSRCs no longer sent that are kept, so that their numbering could go on.
const MAX_RETIRED: usize = 64;
const MAX_RTCP_INDEX: u32 = 0x7FFF_FFFF;

/// Draws a uniform integer of so many bits.
pub type Draw<'a, E> = &'a mut dyn FnMut(u32) -> Result<i64, E>;

/// One peer transport as the kernel sees it; `P` says where its datagrams go.
pub struct Session<P> {
    /// Where datagrams go; none yet if nothing may be sent.
    pub path: Option<Arc<P>>,
    /// Slots of its legs.
    pub legs: BTreeSet<i64>,
    /// Slots of its streams, in the order in which they came.
    pub streams: Vec<i64>,
    /// When the last authentic packet came.
    pub last_arrival: Option<f64>,
    /// Extension of the transport-wide numbers received; 0 while unknown.
    pub transport_cc_id: u8,
    /// Of the last packet sent with a transport-wide number, extended.
    pub transport_number: i64,
    /// What it sends with.
    pub outbound: Keys,
    inbound: Keys,
    sources: HashMap<u32, Source>,
    /// SSRCs heard, oldest first.
    heard: VecDeque<u32>,
    sent_ssrcs: HashSet<u32>,
    /// Of SSRCs no longer sent: last sequence number and index.
    numbers: HashMap<u32, (i64, SendIndex)>,
    retired: VecDeque<u32>,
    rtcp_indices: HashMap<u32, u32>,
    last_transport_number: i64,
    arrivals: VecDeque<(i64, f64)>,
    sent: VecDeque<Noted>,
}

/// A packet that carried a transport-wide number.
#[derive(Clone, Copy, Debug)]
pub struct SentPacket {
    /// Extended.
    pub sequence_number: i64,
    /// When.
    pub at: f64,
    /// On the wire.
    pub size_bytes: usize,
    /// Whether it was sent before.
    pub is_retransmission: bool,
}

/// The same in as few bytes as it takes: there are many of them.
struct Noted {
    at: f64,
    /// The low bits.
    number: u32,
    size_bytes: u16,
    is_retransmission: bool,
}

/// What is known of one received SSRC.
#[derive(Default)]
struct Source {
    replay: Option<Box<Replay>>,
    /// Index of its stream, and whether it is the RTX SSRC.
    bound: Option<(usize, bool)>,
    is_heard: bool,
}

/// Where a burst goes.
pub struct Intake<'a> {
    /// All of them.
    pub streams: &'a mut Table<Stream>,
    /// Indices of those that got packets.
    pub touched: Vec<usize>,
    /// For policy.
    pub notices: Vec<Notice>,
    /// For policy.
    pub drops: &'a mut Drops,
}

impl<P> Session<P> {
    /// A new one; misuse if the keys are not of the profile's length.
    pub fn new(profile: Profile, local_key: &[u8], remote_key: &[u8]) -> Result<Self, Misuse> {
        let keys = |key: &[u8]| {
            Keys::new(profile, key)
                .ok_or_else(|| Misuse(format!("{profile:?} takes keys of {} bytes", profile.key_bytes())))
        };
        Ok(Session {
            path: None,
            legs: BTreeSet::new(),
            streams: Vec::new(),
            last_arrival: None,
            transport_cc_id: 0,
            transport_number: 0,
            outbound: keys(local_key)?,
            inbound: keys(remote_key)?,
            sources: HashMap::new(),
            heard: VecDeque::new(),
            sent_ssrcs: HashSet::new(),
            numbers: HashMap::new(),
            retired: VecDeque::new(),
            rtcp_indices: HashMap::new(),
            last_transport_number: -1,
            arrivals: VecDeque::new(),
            sent: VecDeque::new(),
        })
    }

    /// Take in one datagram.
    pub fn handle_datagram(&mut self, now: f64, at: f64, data: &[u8], intake: &mut Intake) {
        let dropped = if data.len() < MIN_RTCP_BYTES {
            Some(DropReason::TooShort)
        } else if (192..=223).contains(&data[1]) {
            self.handle_rtcp(now, data, intake)
        } else {
            self.handle_rtp(now, at, data, intake)
        };
        if let Some(reason) = dropped {
            intake.drops.count(reason);
        }
    }

    /// Take in a packet that was decrypted before.
    pub fn handle_plain(&mut self, now: f64, data: &[u8], intake: &mut Intake) {
        let dropped = match rtp::parse(data) {
            Err(_) => Some(DropReason::RtpMalformed),
            Ok(header) => self.handle_packet(now, data.to_vec(), &header, intake),
        };
        if let Some(reason) = dropped {
            intake.drops.count(reason);
        }
    }

    /// Bind the SSRCs of a stream.
    pub fn add_stream(&mut self, index: usize, stream: &Stream) -> Result<(), Misuse> {
        let (ssrc, rtx_ssrc) = (stream.spec.ssrc, stream.spec.rtx_ssrc);
        if ssrc == 0 {
            return Err(Misuse("0 is no SSRC".into()));
        }
        if self.is_bound(ssrc) {
            return Err(Misuse(format!("SSRC {ssrc} is taken in this session")));
        }
        if rtx_ssrc != 0 {
            self.claim_rtx(index, ssrc, rtx_ssrc)?;
        }
        self.sources.entry(ssrc).or_default().bound = Some((index, false));
        self.streams.push(stream.slot);
        if stream.spec.extensions.transport_cc != 0 {
            self.transport_cc_id = stream.spec.extensions.transport_cc;
        }
        Ok(())
    }

    /// Free the SSRCs of a stream.
    pub fn remove_stream(&mut self, index: usize, stream: &Stream) {
        for ssrc in [stream.spec.ssrc, stream.rtx_ssrc] {
            self.unbind(ssrc, index);
        }
        self.streams.retain(|slot| *slot != stream.slot);
    }

    /// Pair a stream with its RTX SSRC; the pairing before it ends.
    pub fn set_rtx(&mut self, index: usize, stream: &mut Stream, rtx_ssrc: u32) -> Result<(), Misuse> {
        if rtx_ssrc == stream.rtx_ssrc {
            return Ok(());
        }
        if rtx_ssrc != 0 {
            self.claim_rtx(index, stream.spec.ssrc, rtx_ssrc)?;
        }
        self.unbind(stream.rtx_ssrc, index);
        stream.rtx_ssrc = rtx_ssrc;
        Ok(())
    }

    /// An SSRC will be sent. Returns the sequence number to continue from, and its index; a new SSRC begins behind a random
    /// number below 2^15, so that the first packets lost do not hide a wrap (RFC 3711 §3.3.1).
    pub fn claim_ssrc<E: From<Misuse>>(&mut self, ssrc: u32, draw: Draw<E>) -> Result<(i64, SendIndex), E> {
        if ssrc == 0 {
            return Err(Misuse("0 is no SSRC".into()).into());
        }
        if !self.sent_ssrcs.insert(ssrc) {
            return Err(Misuse(format!("SSRC {ssrc} is already sent in this session")).into());
        }
        self.retired.retain(|one| *one != ssrc);
        match self.numbers.remove(&ssrc) {
            Some(known) => Ok(known),
            None => Ok((draw(15)? - 1, SendIndex::default())),
        }
    }

    /// An SSRC is not sent any more; its numbering is kept for a while.
    pub fn release_ssrc(&mut self, ssrc: u32, last_number: i64, index: SendIndex) {
        self.sent_ssrcs.remove(&ssrc);
        self.numbers.insert(ssrc, (last_number, index));
        self.retired.push_back(ssrc);
        if self.retired.len() > MAX_RETIRED {
            if let Some(oldest) = self.retired.pop_front() {
                self.numbers.remove(&oldest);
                self.rtcp_indices.remove(&oldest);
            }
        }
    }

    /// The SRTCP packet; none if it is no RTCP.
    pub fn protect_rtcp(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        if !(MIN_RTCP_BYTES..=MAX_RTCP_BYTES).contains(&packet.len()) {
            return None;
        }
        let index = self.rtcp_indices.entry(ssrc_of_rtcp(packet)?).or_insert(0);
        if *index >= MAX_RTCP_INDEX {
            return None;
        }
        *index += 1;
        self.outbound.seal_rtcp(packet, *index)
    }

    /// The packet with the current `transport_number` left.
    pub fn note_sent(&mut self, at: f64, size_bytes: usize, is_retransmission: bool) {
        if self.sent.len() == MAX_SENT {
            self.sent.pop_front();
        }
        self.sent.push_back(Noted {
            at,
            number: self.transport_number as u32,
            size_bytes: size_bytes as u16, // a datagram has no more
            is_retransmission,
        });
    }

    /// Since the last call.
    pub fn take_arrivals(&mut self) -> VecDeque<(i64, f64)> {
        std::mem::take(&mut self.arrivals)
    }

    /// Since the last call.
    pub fn take_sent(&mut self) -> Vec<SentPacket> {
        let last = self.transport_number;
        let packets = self.sent.drain(..).map(|noted| SentPacket {
            sequence_number: widen(i64::from(noted.number), last, 32),
            at: noted.at,
            size_bytes: noted.size_bytes.into(),
            is_retransmission: noted.is_retransmission,
        });
        packets.collect()
    }

    fn handle_rtcp(&mut self, now: f64, data: &[u8], intake: &mut Intake) -> Option<DropReason> {
        let mut plain = data.to_vec();
        let ssrc = ssrc_of_rtcp(data).unwrap_or(0);
        if let Err(refused) = self.with_replay(ssrc, |replay, keys| replay.open_rtcp(keys, &mut plain)) {
            return Some(drop_reason(refused));
        }
        if !self.note_heard(ssrc) {
            return Some(DropReason::RtpSsrcLimit);
        }
        self.last_arrival = Some(now);
        let mut notice = Notice::new(NoticeKind::Rtcp, -1, ssrc);
        notice.data = plain;
        intake.notices.push(notice);
        None
    }

    fn handle_rtp(&mut self, now: f64, at: f64, data: &[u8], intake: &mut Intake) -> Option<DropReason> {
        if data.len() < MIN_RTP_BYTES || data.len() > MAX_DATAGRAM_BYTES || data[0] >> 6 != 2 {
            return Some(DropReason::SrtpMalformed);
        }
        let mut plain = data.to_vec();
        let ssrc = u32::from_be_bytes([data[8], data[9], data[10], data[11]]);
        if let Err(refused) = self.with_replay(ssrc, |replay, keys| replay.open(keys, &mut plain)) {
            return Some(drop_reason(refused));
        }
        self.last_arrival = Some(now);
        let Ok(header) = rtp::parse(&plain) else {
            // Its context counts all the same, or they would grow without end.
            self.note_heard(ssrc);
            return Some(DropReason::RtpMalformed);
        };
        if self.transport_cc_id != 0 {
            self.note_arrival(at, &plain, &header);
        }
        self.handle_packet(at, plain, &header, intake)
    }

    /// Run with the context of an SSRC, which is kept only once a packet was authentic.
    fn with_replay(
        &mut self,
        ssrc: u32,
        open: impl FnOnce(&mut Replay, &Keys) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        if let Some(replay) = self.sources.get_mut(&ssrc).and_then(|source| source.replay.as_mut()) {
            return open(replay, &self.inbound);
        }
        let mut replay = Box::<Replay>::default();
        open(&mut replay, &self.inbound)?;
        self.sources.entry(ssrc).or_default().replay = Some(replay);
        Ok(())
    }

    fn note_arrival(&mut self, at: f64, data: &[u8], header: &Header) {
        let Some((start, end)) = header.extensions.find(data, self.transport_cc_id) else {
            return;
        };
        if end - start != 2 {
            return;
        }
        let mut number = i64::from(data[start as usize]) << 8 | i64::from(data[start as usize + 1]);
        let last = self.last_transport_number;
        if last >= 0 {
            number = last + serial_difference(number, last & 0xFFFF, 16);
            if number < 0 {
                return;
            }
        }
        self.last_transport_number = last.max(number);
        if self.arrivals.len() == MAX_ARRIVALS {
            self.arrivals.pop_front();
        }
        self.arrivals.push_back((number, at));
    }

    fn handle_packet(&mut self, at: f64, data: Vec<u8>, header: &Header, intake: &mut Intake) -> Option<DropReason> {
        let bound = self.sources.get(&header.ssrc).and_then(|source| source.bound);
        if !self.note_heard(header.ssrc) {
            return Some(DropReason::RtpSsrcLimit);
        }
        let Some((index, is_rtx)) = bound else {
            if header.ssrc == 0 {
                return Some(DropReason::RtpPaddingOnly);
            }
            let mut notice = Notice::new(NoticeKind::UnknownSsrc, -1, header.ssrc);
            notice.data = data;
            intake.notices.push(notice);
            return None;
        };
        let stream = intake.streams.get_mut(index)?;
        let (mut start, mut sequence_number, mut payload_type) =
            (header.payload_start, header.sequence_number, header.payload_type);
        if is_rtx {
            let Some(repaired) = crate::spec::lookup(&stream.spec.rtx_payload_types, payload_type) else {
                return Some(DropReason::RtpUnknownPayloadType);
            };
            if header.payload_end < start + 3 {
                return Some(DropReason::RtpPaddingOnly); // without payload behind the original number it is a probe
            }
            payload_type = repaired;
            sequence_number = u16::from_be_bytes([data[start], data[start + 1]]);
            start += 2;
        }
        if stream.pending.is_empty() {
            intake.touched.push(index);
        }
        let arrival = Arrival {
            at,
            sequence_number,
            timestamp: header.timestamp,
            marker: header.marker,
            payload_type,
            data,
            payload: (start as u32, header.payload_end as u32),
            extensions: header.extensions,
            recovered: is_rtx,
        };
        stream.handle_packet(arrival, &mut intake.notices)
    }

    /// Account for the context of an SSRC just heard. At the limit the oldest that is not bound goes; false if that is this
    /// one.
    fn note_heard(&mut self, ssrc: u32) -> bool {
        let source = self.sources.entry(ssrc).or_default();
        if source.is_heard {
            return true;
        }
        source.is_heard = true;
        self.heard.push_back(ssrc);
        if self.heard.len() <= MAX_INBOUND_SSRCS {
            return true;
        }
        let oldest = self.heard.iter().position(|one| !self.is_bound(*one)).unwrap_or(self.heard.len() - 1);
        let Some(victim) = self.heard.remove(oldest) else {
            return true;
        };
        if let Some(source) = self.sources.get_mut(&victim) {
            (source.replay, source.is_heard) = (None, false);
        }
        self.forget_if_idle(victim);
        victim != ssrc
    }

    fn is_bound(&self, ssrc: u32) -> bool {
        self.sources.get(&ssrc).is_some_and(|source| source.bound.is_some())
    }

    fn claim_rtx(&mut self, index: usize, ssrc: u32, rtx_ssrc: u32) -> Result<(), Misuse> {
        if self.is_bound(rtx_ssrc) || rtx_ssrc == ssrc {
            return Err(Misuse(format!("SSRC {rtx_ssrc} is taken in this session")));
        }
        self.sources.entry(rtx_ssrc).or_default().bound = Some((index, true));
        Ok(())
    }

    fn unbind(&mut self, ssrc: u32, index: usize) {
        if let Some(source) = self.sources.get_mut(&ssrc) {
            if source.bound.is_some_and(|(one, _)| one == index) {
                source.bound = None;
            }
        }
        self.forget_if_idle(ssrc);
    }

    fn forget_if_idle(&mut self, ssrc: u32) {
        if self.sources.get(&ssrc).is_some_and(|one| one.replay.is_none() && one.bound.is_none() && !one.is_heard) {
            self.sources.remove(&ssrc);
        }
    }
}

fn drop_reason(refused: Refused) -> DropReason {
    match refused {
        Refused::Malformed => DropReason::SrtpMalformed,
        Refused::Replayed => DropReason::SrtpReplay,
        Refused::Forged => DropReason::SrtpAuthentication,
    }
}
