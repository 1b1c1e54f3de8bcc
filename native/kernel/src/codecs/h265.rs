//! H.265 payloads (RFC 7798 §4.4): key frames, temporal ids, sizes.

use super::h264::{check_size, chroma_units, unescape};
use crate::bits::{BitReader, Malformed};

const AGGREGATION: u8 = 48;
const FRAGMENTATION: u8 = 49;
const SPS: u8 = 33;
const MAX_SPS_BYTES: usize = 512;

/// (type, start, end) of each NAL unit that begins in the payload until `found` says yes; the unit for which it did.
fn find_unit(data: &[u8], found: impl Fn(u8) -> bool) -> Option<(usize, usize)> {
    if data.len() < 3 {
        return None;
    }
    let kind = data[0] >> 1 & 0x3F;
    if kind == FRAGMENTATION {
        return (data[2] & 0x80 != 0 && found(data[2] & 0x3F)).then_some((2, data.len()));
    }
    if kind != AGGREGATION {
        return found(kind).then_some((0, data.len()));
    }
    let mut at = 2;
    while at + 2 < data.len() {
        let size = usize::from(data[at]) << 8 | usize::from(data[at + 1]);
        at += 2;
        if size == 0 || at + size > data.len() {
            break;
        }
        if found(data[at] >> 1 & 0x3F) {
            return Some((at, at + size));
        }
        at += size;
    }
    None
}

/// (width, height) of the key frame that begins here, (0, 0) if its size cannot be read; None where none begins.
pub fn key_frame(data: &[u8]) -> Option<(u32, u32)> {
    find_unit(data, |kind| matches!(kind, 32..=34 | 16..=21))?;
    let size = find_unit(data, |kind| kind == SPS).map(|(start, end)| parse_sps_size(data, start, end));
    Some(size.and_then(Result::ok).unwrap_or((0, 0)))
}

/// TID of the payload's first NAL unit, -1 if it is cut short or forbidden.
pub fn temporal_id(data: &[u8]) -> i64 {
    data.get(1).map_or(-1, |second| i64::from(second & 7) - 1)
}

fn parse_sps_size(data: &[u8], start: usize, end: usize) -> Result<(u32, u32), Malformed> {
    let unit = unescape(data, start + 2, end.min(start + MAX_SPS_BYTES));
    let mut reader = BitReader::new(&unit);
    reader.skip(4)?;
    let sub_layers = reader.read(3)? as usize;
    reader.skip(1)?;
    skip_profile_tier_level(&mut reader, sub_layers)?;
    reader.exp_golomb()?;
    let mut chroma = reader.exp_golomb()?;
    if chroma == 3 && reader.flag()? {
        chroma = 0;
    }
    let (mut width, mut height) = (reader.exp_golomb()?, reader.exp_golomb()?);
    if reader.flag()? {
        let (unit_x, unit_y) = chroma_units(chroma);
        width -= unit_x * (reader.exp_golomb()? + reader.exp_golomb()?);
        height -= unit_y * (reader.exp_golomb()? + reader.exp_golomb()?);
    }
    check_size(width, height)
}

fn skip_profile_tier_level(reader: &mut BitReader, sub_layers: usize) -> Result<(), Malformed> {
    reader.skip(96)?;
    let mut bits = 0;
    for _ in 0..sub_layers {
        bits += if reader.flag()? { 88 } else { 0 };
        bits += if reader.flag()? { 8 } else { 0 };
    }
    if sub_layers > 0 {
        reader.skip(2 * (8 - sub_layers))?;
    }
    reader.skip(bits)
}
