//! VP8 payload descriptors (RFC 7741 §4.2, §4.3); key frame sizes by RFC 6386 §9.1.

use crate::bits::Malformed;

/// What the descriptor says; numbers that it does not carry are -1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vp8Descriptor {
    /// Length of the descriptor.
    pub header_bytes: usize,
    /// As sent, in 7 or 15 bits.
    pub picture_id: i64,
    /// 0 (absent), 7 or 15.
    pub picture_id_bits: u32,
    /// TL0PICIDX.
    pub tl0_pic_idx: i64,
    /// Temporal layer.
    pub tid: i64,
    /// Y: depends on the base layer alone.
    pub layer_sync: bool,
    /// KEYIDX.
    pub key_index: i64,
    /// Only on the first packet of a key frame.
    pub is_key_frame: bool,
    /// Of a key frame whose first bytes are here, else 0.
    pub width: u32,
    /// As `width`.
    pub height: u32,
}

/// The longest descriptor that is written.
pub const MAX_DESCRIPTOR_BYTES: usize = 6;

/// A short run of bytes that lies in place: a codec header, or the number before an RTX payload and the header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prefix {
    bytes: [u8; MAX_DESCRIPTOR_BYTES],
    length: u8,
}

impl Prefix {
    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length).min(MAX_DESCRIPTOR_BYTES)]
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        usize::from(self.length)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    fn push(&mut self, byte: u8) {
        if let Some(slot) = self.bytes.get_mut(usize::from(self.length)) {
            *slot = byte;
            self.length += 1;
        }
    }

    /// The same but for the start and reference bits of another packet of the picture.
    pub fn with_first(mut self, first: u8) -> Self {
        self.bytes[0] = self.bytes[0] & 0x80 | first & 0x37;
        self
    }
}

/// Reads the descriptor at the start of a payload.
pub fn parse(data: &[u8]) -> Result<Vp8Descriptor, Malformed> {
    let byte = |at: usize| data.get(at).copied().ok_or(Malformed);
    let first = byte(0)?;
    let mut at = 1;
    let mut found = Vp8Descriptor {
        header_bytes: 1,
        picture_id: -1,
        picture_id_bits: 0,
        tl0_pic_idx: -1,
        tid: -1,
        layer_sync: false,
        key_index: -1,
        is_key_frame: false,
        width: 0,
        height: 0,
    };
    if first & 0x80 != 0 {
        let flags = byte(at)?;
        at += 1;
        if flags & 0x80 != 0 {
            let picture = byte(at)?;
            at += 1;
            (found.picture_id, found.picture_id_bits) = (i64::from(picture), 7);
            if picture & 0x80 != 0 {
                found.picture_id = i64::from(picture & 0x7F) << 8 | i64::from(byte(at)?);
                found.picture_id_bits = 15;
                at += 1;
            }
        }
        if flags & 0x40 != 0 {
            if flags & 0x20 == 0 {
                return Err(Malformed); // RFC 7741 §4.2: L requires T
            }
            found.tl0_pic_idx = i64::from(byte(at)?);
            at += 1;
        }
        if flags & 0x30 != 0 {
            let last = byte(at)?;
            at += 1;
            if flags & 0x20 != 0 {
                (found.tid, found.layer_sync) = (i64::from(last >> 6), last & 0x20 != 0);
            }
            if flags & 0x10 != 0 {
                found.key_index = i64::from(last & 0x1F);
            }
        }
    }
    found.header_bytes = at;
    if first & 0x17 == 0x10 && data.get(at).is_some_and(|payload| payload & 1 == 0) {
        found.is_key_frame = true;
        (found.width, found.height) = frame_size(&data[at..]);
    }
    Ok(found)
}

fn frame_size(frame: &[u8]) -> (u32, u32) {
    match frame {
        [_, _, _, 0x9D, 0x01, 0x2A, w0, w1, h0, h1, ..] => {
            (u32::from(*w0) | u32::from(w1 & 0x3F) << 8, u32::from(*h0) | u32::from(h1 & 0x3F) << 8)
        }
        _ => (0, 0),
    }
}

/// A descriptor with the fields that are not -1; the picture id takes 15 bits. `first` gives start, partition and
/// reference bits.
pub fn encode(first: u8, picture: i64, tl0: i64, tid: i64, sync: bool, key_index: i64) -> Prefix {
    let mut flags = 0;
    let mut tail = Prefix::default();
    if picture >= 0 {
        flags = 0x80;
        tail.push(0x80 | (picture >> 8) as u8);
        tail.push(picture as u8);
    }
    if tl0 >= 0 {
        flags |= 0x40;
        tail.push(tl0 as u8);
    }
    if tid >= 0 || key_index >= 0 {
        flags |= if tid >= 0 { 0x20 } else { 0 } | if key_index >= 0 { 0x10 } else { 0 };
        tail.push((tid.max(0) as u8) << 6 | u8::from(sync) << 5 | key_index.max(0) as u8);
    }
    let mut out = Prefix::default();
    let first = first & 0x37;
    if flags == 0 {
        out.push(first);
        return out;
    }
    out.push(first | 0x80);
    out.push(flags);
    for &byte in tail.as_slice() {
        out.push(byte);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let written = encode(0x10, 300, 7, 2, true, 5);
        let found = parse(written.as_slice()).unwrap();
        assert_eq!((found.picture_id, found.tl0_pic_idx, found.tid, found.key_index), (300, 7, 2, 5));
        assert!(found.layer_sync);
        assert_eq!(found.header_bytes, written.len());
        assert_eq!(encode(0x30, -1, -1, -1, false, -1).as_slice(), [0x30]);
    }

    #[test]
    fn cut_descriptors_are_errors() {
        for size in 0..6 {
            assert_eq!(parse(&[0x90, 0xF0, 0x81, 0x2C, 1, 0x45][..size]), Err(Malformed));
        }
    }
}
