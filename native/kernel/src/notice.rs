//! What the kernel tells policy, and why it drops packets.

/// See `NoticeKind` in `sansio/kernel/interface.py`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeKind {
    /// An authentic packet of an SSRC without a stream.
    UnknownSsrc,
    /// A decrypted compound packet.
    Rtcp,
    /// The stream's first packet with payload.
    FirstPacket,
    /// First packet of a key frame.
    KeyFrame,
    /// Numbers that have not arrived.
    Gap,
    /// An SVC leg cannot go on.
    LegNeedsKeyFrame,
    /// An SVC leg forwards other layers.
    MarkedSwitch,
}

/// One thing for policy to look at.
#[derive(Clone, Debug)]
pub struct Notice {
    /// What it is.
    pub kind: NoticeKind,
    /// Slot, or -1.
    pub stream: i64,
    /// Slot, or -1.
    pub leg: i64,
    /// Of the stream or leg.
    pub ssrc: u32,
    /// In the stream.
    pub position: i64,
    /// How many numbers from `position` on.
    pub missing: i64,
    /// A decrypted packet.
    pub data: Vec<u8>,
    /// Of a key frame.
    pub width: u32,
    /// Of a key frame.
    pub height: u32,
    /// Layer, or -1.
    pub spatial: i64,
    /// Layer, or -1.
    pub temporal: i64,
    /// Extended.
    pub timestamp: i64,
}

impl Notice {
    /// One whose other fields say nothing.
    pub fn new(kind: NoticeKind, stream: i64, ssrc: u32) -> Self {
        Notice {
            kind,
            stream,
            leg: -1,
            ssrc,
            position: 0,
            missing: 0,
            data: Vec::new(),
            width: 0,
            height: 0,
            spatial: -1,
            temporal: -1,
            timestamp: 0,
        }
    }
}

/// Why a packet was thrown away; the order is that of `DROP_REASONS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// Neither RTP nor RTCP.
    TooShort,
    /// Another key, or other bytes.
    SrtpAuthentication,
    /// It was here before.
    SrtpReplay,
    /// It is no SRTP.
    SrtpMalformed,
    /// It is no RTP.
    RtpMalformed,
    /// Not in the stream's codecs.
    RtpUnknownPayloadType,
    /// It was here before, by another way.
    RtpDuplicate,
    /// Before what is remembered, or not believed.
    RtpTooOld,
    /// Nothing in it.
    RtpPaddingOnly,
    /// More SSRCs than are kept.
    RtpSsrcLimit,
}

/// Names of the reasons in Python.
pub const DROP_REASONS: [&str; 10] = [
    "TOO_SHORT",
    "SRTP_AUTHENTICATION",
    "SRTP_REPLAY",
    "SRTP_MALFORMED",
    "RTP_MALFORMED",
    "RTP_UNKNOWN_PAYLOAD_TYPE",
    "RTP_DUPLICATE",
    "RTP_TOO_OLD",
    "RTP_PADDING_ONLY",
    "RTP_SSRC_LIMIT",
];

/// Counters by reason.
#[derive(Clone, Copy, Debug, Default)]
pub struct Drops([u64; DROP_REASONS.len()]);

impl Drops {
    /// One more.
    pub fn count(&mut self, reason: DropReason) {
        self.0[reason as usize] += 1;
    }

    /// The counters since the last call.
    pub fn take(&mut self) -> [u64; DROP_REASONS.len()] {
        std::mem::take(&mut self.0)
    }
}
