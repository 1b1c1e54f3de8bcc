//! Redundant audio (RFC 2198 §3): blocks, oldest first, the primary last.

use crate::bits::Malformed;

/// What 14 bits of a block header hold.
pub const MAX_TIMESTAMP_OFFSET: i64 = (1 << 14) - 1;
/// Of a redundant block; the primary has no length field.
pub const MAX_BLOCK_BYTES: usize = (1 << 10) - 1;

/// One block: where its bytes lie, and how much older than the packet it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// 7 bits.
    pub payload_type: u8,
    /// 0 for the primary.
    pub timestamp_offset: i64,
    /// First byte.
    pub start: usize,
    /// Behind the last byte.
    pub end: usize,
}

/// The blocks of a payload, the primary last.
pub fn parse(data: &[u8]) -> Result<Vec<Block>, Malformed> {
    let mut blocks = Vec::new();
    let mut at = 0;
    while data.get(at).is_some_and(|head| head & 0x80 != 0) {
        let head = data.get(at..at + 4).ok_or(Malformed)?;
        let word = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        let payload_type = (word >> 24 & 0x7F) as u8;
        let timestamp_offset = i64::from(word >> 10 & 0x3FFF);
        blocks.push(Block { payload_type, timestamp_offset, start: 0, end: (word & 0x3FF) as usize });
        at += 4;
    }
    let primary_type = *data.get(at).ok_or(Malformed)?;
    at += 1;
    for block in &mut blocks {
        block.start = at;
        at += block.end;
        block.end = at;
    }
    if at > data.len() {
        return Err(Malformed);
    }
    blocks.push(Block { payload_type: primary_type, timestamp_offset: 0, start: at, end: data.len() });
    Ok(blocks)
}

/// A payload of `primary` and, oldest first, older (timestamp offset, block) pairs, all of one type.
pub fn encode(payload_type: u8, primary: &[u8], redundant: &[(i64, &[u8])]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + primary.len() + redundant.iter().map(|one| 4 + one.1.len()).sum::<usize>());
    for (offset, block) in redundant {
        let word = 1 << 31 | u32::from(payload_type) << 24 | (*offset as u32) << 10 | block.len() as u32;
        out.extend_from_slice(&word.to_be_bytes());
    }
    out.push(payload_type);
    for (_, block) in redundant {
        out.extend_from_slice(block);
    }
    out.extend_from_slice(primary);
    out
}

/// `data` with the types of its blocks translated; an error for a type that has no translation.
pub fn rewrite_payload_types(data: &[u8], translate: impl Fn(u8) -> Option<u8>) -> Result<Vec<u8>, Malformed> {
    let blocks = parse(data)?;
    let mut out = data.to_vec();
    for (index, block) in blocks.iter().enumerate() {
        let target = translate(block.payload_type).ok_or(Malformed)?;
        out[4 * index] = out[4 * index] & 0x80 | target;
    }
    Ok(out)
}
