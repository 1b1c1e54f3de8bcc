//! Trailers that LiveKit clients put behind encoded frames, as in `sansio/rtp/frame_trailer.py`.

/// How a trailer ends.
pub const MAGIC: &[u8] = b"LKTS";
const ENVELOPE_BYTES: usize = 5;

fn trailer_bytes(payload: &[u8]) -> usize {
    if payload.len() <= ENVELOPE_BYTES || !payload.ends_with(MAGIC) {
        return 0;
    }
    let size = usize::from(payload[payload.len() - 5] ^ 0xFF);
    if (ENVELOPE_BYTES..payload.len()).contains(&size) {
        size
    } else {
        0
    }
}

/// What remains of a payload.
#[derive(Debug, PartialEq, Eq)]
pub enum Cut {
    /// So many of its first bytes.
    First(usize),
    /// Bytes of its own.
    Whole(Vec<u8>),
}

/// The payload without its trailer; in an aggregation packet, whose units begin at `units_at`, the last unit becomes so
/// much shorter. What is malformed is left as it is.
pub fn cut(payload: &[u8], units_at: usize) -> Cut {
    let size = trailer_bytes(payload);
    let end = payload.len() - size;
    if size == 0 || units_at == 0 {
        return Cut::First(end);
    }
    let (mut at, mut last) = (units_at, units_at);
    while at + 2 <= payload.len() {
        last = at;
        at += 2 + (usize::from(payload[at]) << 8 | usize::from(payload[at + 1]));
    }
    if at != payload.len() || end <= last + 2 {
        return Cut::First(payload.len());
    }
    let mut out = payload[..end].to_vec();
    let unit_bytes = (end - last - 2) as u16;
    out[last..last + 2].copy_from_slice(&unit_bytes.to_be_bytes());
    Cut::Whole(out)
}
