//! The received packet as the kernel passes it on, and what is read of its payload (`sansio/kernel/payloads.py`).

use std::sync::Arc;

use crate::codecs::descriptor::{self, Descriptor, Structure};
use crate::codecs::vp9::Vp9Descriptor;
use crate::codecs::{av1, h264, h265, red, vp8, vp9};
use crate::numbers::widen;
use crate::rtp::Span;
use crate::spec::{Codec, ExtensionIds};

/// A packet, parsed once; legs share it.
#[derive(Debug)]
pub struct Packet {
    /// Extended sequence number in its stream.
    pub position: i64,
    /// Extended.
    pub timestamp: i64,
    /// 0x80 or 0.
    pub marker: u16,
    /// 7 bits.
    pub payload_type: u8,
    /// The plain packet.
    pub data: Vec<u8>,
    /// Empty for padding.
    pub payload: Span,
    /// Extension to pass on.
    pub capture: Option<Span>,
    /// Extension to pass on.
    pub descriptor: Option<Span>,
    /// What the codec's reader found.
    pub info: Info,
}

impl Packet {
    /// Bytes that came from nowhere.
    pub fn of(data: Vec<u8>) -> Arc<Self> {
        let payload = (0, data.len() as u32);
        Arc::new(Packet {
            position: 0,
            timestamp: 0,
            marker: 0,
            payload_type: 0,
            data,
            payload,
            capture: None,
            descriptor: None,
            info: Info::None,
        })
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.payload.1 <= self.payload.0
    }

    /// Without header and padding.
    pub fn payload(&self) -> &[u8] {
        self.slice(self.payload)
    }

    /// What lies there.
    pub fn slice(&self, span: Span) -> &[u8] {
        self.data.get(span.0 as usize..span.1 as usize).unwrap_or(&[])
    }
}

/// A part of a packet that outlives it in the ring of a leg.
#[derive(Clone, Debug, Default)]
pub struct Body {
    packet: Option<Arc<Packet>>,
    span: Span,
}

impl Body {
    /// The payload of a packet from so many bytes on.
    pub fn payload_from(packet: &Arc<Packet>, skipped: u32) -> Self {
        let (start, end) = packet.payload;
        Body { packet: Some(packet.clone()), span: (start + skipped, end) }
    }

    /// A part of the payload, by offsets into it.
    pub fn part(packet: &Arc<Packet>, start: u32, end: u32) -> Self {
        let base = packet.payload.0;
        Body { packet: Some(packet.clone()), span: (base + start, base + end) }
    }

    /// Bytes of our own.
    pub fn own(data: Vec<u8>) -> Self {
        Body::payload_from(&Packet::of(data), 0)
    }

    /// The first bytes of it.
    pub fn first(mut self, size: usize) -> Self {
        self.span.1 = self.span.0 + size as u32;
        self
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        self.packet.as_ref().map_or(&[], |packet| packet.slice(self.span))
    }
}

/// For legs of the codec's own mode.
#[derive(Debug)]
pub enum Info {
    /// Nothing.
    None,
    /// Layers should be known and are not.
    Unreadable,
    /// VP8.
    Vp8(Vp8Info),
    /// VP9 without a dependency descriptor.
    Vp9(Vp9Descriptor),
    /// With a dependency descriptor.
    Layered(Box<Layered>),
    /// RED blocks.
    Red(Box<RedInfo>),
}

/// What a leg needs of a VP8 packet; numbers are -1 if absent.
#[derive(Clone, Copy, Debug)]
pub struct Vp8Info {
    /// Length of the descriptor.
    pub header_bytes: u32,
    /// Extended.
    pub picture: i64,
    /// TL0PICIDX.
    pub tl0: i64,
    /// Temporal layer.
    pub temporal: i64,
    /// Y.
    pub sync: bool,
    /// KEYIDX.
    pub key_index: i64,
    /// Whether a picture starts here.
    pub starts: bool,
    /// Whether that is a key frame.
    pub is_key: bool,
    /// First byte as it came.
    pub first: u8,
}

/// A packet with a dependency descriptor.
#[derive(Debug)]
pub struct Layered {
    /// As read.
    pub descriptor: Descriptor,
    /// Extended frame number.
    pub frame: i64,
    /// Extended number of the frame whose structure is in force.
    pub key_frame: i64,
    /// In force.
    pub structure: Arc<Structure>,
    /// Mask of the decode targets that the sender produces.
    pub active_targets: i64,
}

/// Blocks of a RED packet, as offsets into the payload.
#[derive(Debug)]
pub struct RedInfo {
    /// The packet itself.
    pub primary: Span,
    /// Oldest first: how many packets back, how much older, where.
    pub older: Vec<(i64, i64, Span)>,
}

/// What a reader found in a payload.
pub struct Reading {
    /// First packet of a key frame.
    pub starts_key_frame: bool,
    /// 0 if not coded.
    pub width: u32,
    /// 0 if not coded.
    pub height: u32,
    /// Spatial layer.
    pub spatial: i64,
    /// Temporal layer.
    pub temporal: i64,
    /// For legs.
    pub info: Info,
}

impl Reading {
    /// Nothing but this.
    pub fn only(info: Info) -> Self {
        Reading { starts_key_frame: false, width: 0, height: 0, spatial: 0, temporal: 0, info }
    }

    fn key_frame(size: Option<(u32, u32)>) -> Self {
        let mut reading = Reading::only(Info::None);
        if let Some((width, height)) = size {
            (reading.starts_key_frame, reading.width, reading.height) = (true, width, height);
        }
        reading
    }
}

/// Reads the payloads of one stream and one payload type, in order of arrival.
pub enum Reader {
    /// Nothing is read.
    None,
    /// Last picture id.
    Vp8(i64),
    /// VP9 and AV1.
    Layers(Box<LayerReader>),
    /// Key frames.
    H264,
    /// Key frames, temporal ids.
    H265,
    /// Blocks.
    Red,
}

impl Reader {
    /// A fresh one.
    pub fn new(codec: Codec, extensions: &ExtensionIds) -> Self {
        match codec {
            Codec::Opaque | Codec::Opus => Reader::None,
            Codec::Vp8 => Reader::Vp8(-1),
            Codec::Vp9 | Codec::Av1 => Reader::Layers(Box::new(LayerReader {
                extension: extensions.dependency_descriptor,
                is_vp9: codec == Codec::Vp9,
                structure: None,
                active_targets: 0,
                frame: -1,
                key_frame: -1,
            })),
            Codec::H264 => Reader::H264,
            Codec::H265 => Reader::H265,
            Codec::Red => Reader::Red,
        }
    }

    /// Reads one payload; `extension` gives the value of a header extension.
    pub fn read<'a>(&mut self, payload: &[u8], extension: impl Fn(u8) -> Option<&'a [u8]>) -> Reading {
        match self {
            Reader::None => Reading::only(Info::None),
            Reader::Vp8(picture) => read_vp8_widened(payload, picture),
            Reader::Layers(reader) => reader.read(payload, extension),
            Reader::H264 => Reading::key_frame(h264::key_frame(payload)),
            Reader::H265 => {
                let mut reading = Reading::key_frame(h265::key_frame(payload));
                if !reading.starts_key_frame {
                    reading.temporal = h265::temporal_id(payload).max(0);
                }
                reading
            }
            Reader::Red => read_red(payload),
        }
    }
}

fn read_vp8_widened(payload: &[u8], last: &mut i64) -> Reading {
    let Some((found, mut info)) = read_vp8(payload) else {
        return Reading::only(Info::None);
    };
    if found.picture_id >= 0 {
        info.picture = widen_picture(found.picture_id, found.picture_id_bits, last);
    }
    Reading {
        starts_key_frame: found.is_key_frame,
        width: found.width,
        height: found.height,
        spatial: 0,
        temporal: found.tid.max(0),
        info: Info::Vp8(info),
    }
}

fn widen_picture(picture: i64, bits: u32, last: &mut i64) -> i64 {
    if *last < 0 {
        // Room below for pictures that come late; pictures are never negative, which means absent.
        *last = picture + (1 << 15);
        return *last;
    }
    let wide = widen(picture, *last, bits);
    if wide < 0 {
        return picture;
    }
    *last = wide.max(*last);
    wide
}

/// The descriptor, and what a leg needs, with the picture id as sent; none for what is not VP8 or has no data.
pub fn read_vp8(payload: &[u8]) -> Option<(vp8::Vp8Descriptor, Vp8Info)> {
    let found = vp8::parse(payload).ok()?;
    if found.header_bytes >= payload.len() {
        return None;
    }
    let first = payload[0];
    let info = Vp8Info {
        header_bytes: found.header_bytes as u32,
        picture: found.picture_id,
        tl0: found.tl0_pic_idx,
        temporal: found.tid,
        sync: found.layer_sync,
        key_index: found.key_index,
        starts: first & 0x17 == 0x10,
        is_key: found.is_key_frame,
        first,
    };
    Some((found, info))
}

fn read_red(payload: &[u8]) -> Reading {
    let Ok(mut blocks) = red::parse(payload) else {
        return Reading::only(Info::None);
    };
    let Some(primary) = blocks.pop() else {
        return Reading::only(Info::None);
    };
    let span = |block: &red::Block| (block.start as u32, block.end as u32);
    let count = blocks.len();
    let mut older = Vec::with_capacity(count);
    for (index, block) in blocks.iter().enumerate() {
        if block.end > block.start {
            older.push(((count - index) as i64, block.timestamp_offset, span(block)));
        }
    }
    Reading::only(Info::Red(Box::new(RedInfo { primary: span(&primary), older })))
}

/// VP9 and AV1: by dependency descriptor where packets carry one, else by the payload.
pub struct LayerReader {
    extension: u8,
    is_vp9: bool,
    structure: Option<Arc<Structure>>,
    active_targets: i64,
    frame: i64,
    key_frame: i64,
}

impl LayerReader {
    fn read<'a>(&mut self, payload: &[u8], extension: impl Fn(u8) -> Option<&'a [u8]>) -> Reading {
        if self.extension == 0 {
            return self.read_payload(payload);
        }
        match extension(self.extension) {
            None => self.read_payload(payload),
            Some(raw) => self.read_descriptor(payload, raw).unwrap_or_else(|| Reading::only(Info::Unreadable)),
        }
    }

    fn read_descriptor(&mut self, payload: &[u8], raw: &[u8]) -> Option<Reading> {
        let descriptor = descriptor::parse(raw, self.structure.as_ref()).ok()?;
        let frame = self.widen(i64::from(descriptor.frame_number));
        if let Some(attached) = &descriptor.structure {
            if frame > self.key_frame {
                (self.structure, self.key_frame) = (Some(attached.clone()), frame);
            }
        }
        let structure = self.structure.clone()?;
        if frame < self.key_frame || descriptor.structure.as_ref().is_some_and(|one| *one != structure) {
            return None; // older than the structure, or one frame with two of them
        }
        if descriptor.active_targets >= 0 && frame == self.frame {
            self.active_targets = descriptor.active_targets;
        }
        let is_key =
            descriptor.structure.is_some() && descriptor.start_of_frame && descriptor.template.frame_diffs.is_empty();
        let mut size = (0, 0);
        if is_key {
            size = structure.resolutions.last().copied().unwrap_or((0, 0));
            if size.0 == 0 {
                let told = self.read_payload(payload);
                size = (told.width, told.height);
            }
        }
        let (spatial, temporal) = (descriptor.template.spatial_id, descriptor.template.temporal_id);
        let (key_frame, active_targets) = (self.key_frame, self.active_targets);
        Some(Reading {
            starts_key_frame: is_key,
            width: size.0,
            height: size.1,
            spatial: i64::from(spatial),
            temporal: i64::from(temporal),
            info: Info::Layered(Box::new(Layered { descriptor, frame, key_frame, structure, active_targets })),
        })
    }

    fn read_payload(&self, payload: &[u8]) -> Reading {
        if !self.is_vp9 {
            return Reading::key_frame(av1::key_frame(payload));
        }
        match vp9::parse(payload) {
            Err(_) => Reading::only(Info::Unreadable),
            Ok(found) => Reading {
                starts_key_frame: found.is_key_frame,
                width: found.width,
                height: found.height,
                spatial: found.sid.max(0),
                temporal: found.tid.max(0),
                info: Info::Vp9(found),
            },
        }
    }

    fn widen(&mut self, frame_number: i64) -> i64 {
        if self.frame < 0 {
            self.frame = frame_number + (1 << 16);
            return self.frame;
        }
        let frame = widen(frame_number, self.frame, 16);
        self.frame = frame.max(self.frame);
        frame
    }
}
