//! The plain data that policy writes: the twins of the attrs classes in `sansio/kernel/interface.py`.

/// The caller broke the contract; becomes LocalProtocolError.
#[derive(Debug, PartialEq, Eq)]
pub struct Misuse(pub String);

/// How a stream's payload is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// Nothing is read.
    Opaque,
    /// Nothing is read.
    Opus,
    /// Blocks.
    Red,
    /// Descriptor.
    Vp8,
    /// Dependency descriptor or payload descriptor.
    Vp9,
    /// Key frames.
    H264,
    /// Key frames, temporal ids.
    H265,
    /// Dependency descriptor or key frames.
    Av1,
}

/// What a leg does to the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LegMode {
    /// Payload unchanged.
    Plain,
    /// Numbers rewritten, temporal layers dropped.
    Vp8,
    /// Layers of one SSRC chosen.
    Svc,
    /// Primary blocks, with lost ones out of the redundancy.
    RedToOpus,
    /// Earlier packets repeated.
    OpusToRed,
}

/// Header extension ids of one m-section; 0 where not negotiated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExtensionIds {
    /// RFC 6464.
    pub audio_level: u8,
    /// Transport-wide sequence numbers.
    pub transport_cc: u8,
    /// Sending time, 6.18 fixed point.
    pub abs_send_time: u8,
    /// Passed on.
    pub abs_capture_time: u8,
    /// Passed on, renumbered and narrowed.
    pub dependency_descriptor: u8,
    /// Written while asked for.
    pub playout_delay: u8,
    /// Those that only differ: any change of ids empties a leg's memory.
    pub others: [u8; 3],
    /// Whether two-byte headers may be used among one-byte ones.
    pub mixed: bool,
}

/// What the kernel must know of a received SSRC.
#[derive(Clone, Debug)]
pub struct StreamSpec {
    /// Not 0.
    pub ssrc: u32,
    /// Of its timestamps.
    pub clock_rate: i64,
    /// By payload type, RTX left out.
    pub codecs: Vec<(u8, Codec)>,
    /// Of the source's section.
    pub extensions: ExtensionIds,
    /// 0 if none is known.
    pub rtx_ssrc: u32,
    /// RTX payload type to the type it repairs.
    pub rtx_payload_types: Vec<(u8, u8)>,
    /// Packets kept.
    pub history: usize,
}

impl StreamSpec {
    /// Whether a payload type is of a codec.
    pub fn is(&self, payload_type: u8, codec: Codec) -> bool {
        self.codec(payload_type) == Some(codec)
    }

    /// The codec of a payload type.
    pub fn codec(&self, payload_type: u8) -> Option<Codec> {
        lookup(&self.codecs, payload_type)
    }
}

/// One subscription as the kernel sees it.
#[derive(Clone, Debug)]
pub struct LegSpec {
    /// Slot of the target session.
    pub session: i64,
    /// Sent.
    pub ssrc: u32,
    /// Source payload type to target payload type.
    pub payload_types: Vec<(u8, u8)>,
    /// What happens to payloads.
    pub mode: LegMode,
    /// Of its timestamps.
    pub clock_rate: i64,
    /// Of the target's section.
    pub extensions: ExtensionIds,
    /// 0 if there is none.
    pub rtx_ssrc: u32,
    /// Target payload type to its RTX payload type.
    pub rtx_payload_types: Vec<(u8, u8)>,
    /// Highest spatial layer wanted.
    pub max_spatial: i64,
    /// Highest temporal layer wanted.
    pub max_temporal: i64,
    /// Nothing is forwarded.
    pub paused: bool,
    /// Of the path.
    pub mtu: usize,
    /// 0 if none was agreed.
    pub red_payload_type: u8,
    /// Least and greatest.
    pub playout_delay_ms: Option<(i64, i64)>,
    /// Whether trailers behind frames are cut off.
    pub cuts_trailers: bool,
}

/// The value of a key in a small table.
pub fn lookup<V: Copy>(table: &[(u8, V)], key: u8) -> Option<V> {
    table.iter().find(|(one, _)| *one == key).map(|(_, value)| *value)
}
