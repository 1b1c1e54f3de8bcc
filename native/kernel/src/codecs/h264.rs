//! H.264 payloads (RFC 6184 §5): key frames are told by their sequence parameter set, which also gives the size.

use crate::bits::{BitReader, Malformed};

const SPS: u8 = 7;
const MAX_SPS_BYTES: usize = 512;

/// (type, start, end) of each NAL unit that begins in the payload until `found` says yes; the unit for which it did.
fn find_unit(data: &[u8], found: impl Fn(u8) -> bool) -> Option<(usize, usize)> {
    let kind = data.first()? & 0x1F;
    let (mut at, gap) = match kind {
        28 | 29 => {
            let head = *data.get(1)?;
            return (head & 0x80 != 0 && found(head & 0x1F)).then_some((1, data.len()));
        }
        24 => (1, 0),
        25 => (3, 0),
        26 => (3, 3),
        27 => (3, 4),
        _ => return found(kind).then_some((0, data.len())),
    };
    while at + 2 + gap < data.len() {
        let size = usize::from(data[at]) << 8 | usize::from(data[at + 1]);
        at += 2 + gap;
        if size == 0 || at + size > data.len() {
            break;
        }
        if found(data[at] & 0x1F) {
            return Some((at, at + size));
        }
        at += size;
    }
    None
}

/// (width, height) of the key frame that begins here, (0, 0) if its size cannot be read; None where none begins.
pub fn key_frame(data: &[u8]) -> Option<(u32, u32)> {
    let (start, end) = find_unit(data, |kind| kind == SPS)?;
    Some(parse_sps_size(data, start, end).unwrap_or((0, 0)))
}

fn parse_sps_size(data: &[u8], start: usize, end: usize) -> Result<(u32, u32), Malformed> {
    let unit = unescape(data, start + 1, end.min(start + MAX_SPS_BYTES));
    let mut reader = BitReader::new(&unit);
    let profile = reader.read(8)?;
    reader.skip(16)?; // constraint flags, level
    reader.exp_golomb()?;
    let chroma = match profile {
        44 | 83 | 86 | 100 | 110 | 118 | 122 | 128 | 134 | 135 | 138 | 139 | 244 => read_high_profile(&mut reader)?,
        _ => 1,
    };
    reader.exp_golomb()?; // log2_max_frame_num_minus4
    skip_picture_order(&mut reader)?;
    reader.exp_golomb()?; // max_num_ref_frames
    reader.skip(1)?;
    let mut width = 16 * (reader.exp_golomb()? + 1);
    let map_units = reader.exp_golomb()? + 1;
    let is_progressive = reader.flag()?;
    let fields = if is_progressive { 1 } else { 2 };
    let mut height = 16 * map_units * fields;
    if !is_progressive {
        reader.skip(1)?;
    }
    reader.skip(1)?; // direct_8x8_inference_flag
    if reader.flag()? {
        let (unit_x, unit_y) = chroma_units(chroma);
        width -= unit_x * (reader.exp_golomb()? + reader.exp_golomb()?);
        height -= unit_y * fields * (reader.exp_golomb()? + reader.exp_golomb()?);
    }
    check_size(width, height)
}

/// In which units a cropping window is given.
pub fn chroma_units(chroma: i64) -> (i64, i64) {
    match chroma {
        1 => (2, 2),
        2 => (2, 1),
        _ => (1, 1),
    }
}

/// The pair itself; an error for what no picture can have.
pub fn check_size(width: i64, height: i64) -> Result<(u32, u32), Malformed> {
    if 0 < width && width < 1 << 16 && 0 < height && height < 1 << 16 {
        return Ok((width as u32, height as u32));
    }
    Err(Malformed)
}

/// A NAL unit's payload without emulation prevention bytes (H.264 §7.4.1).
pub fn unescape(data: &[u8], start: usize, end: usize) -> Vec<u8> {
    let source = data.get(start..end).unwrap_or(&[]);
    let mut out = Vec::with_capacity(source.len());
    let mut at = 0;
    while at < source.len() {
        if source[at..].starts_with(&[0, 0, 3]) {
            out.extend_from_slice(&[0, 0]);
            at += 3;
        } else {
            out.push(source[at]);
            at += 1;
        }
    }
    out
}

/// Fields of the high profiles; gives chroma_format_idc, 0 for separately coded planes.
fn read_high_profile(reader: &mut BitReader) -> Result<i64, Malformed> {
    let mut chroma = reader.exp_golomb()?;
    if chroma == 3 && reader.flag()? {
        chroma = 0;
    }
    reader.exp_golomb()?; // bit depths
    reader.exp_golomb()?;
    reader.skip(1)?;
    if reader.flag()? {
        for index in 0..if chroma != 3 { 8 } else { 12 } {
            if reader.flag()? {
                skip_scaling_list(reader, if index < 6 { 16 } else { 64 })?;
            }
        }
    }
    Ok(chroma)
}

fn skip_scaling_list(reader: &mut BitReader, size: usize) -> Result<(), Malformed> {
    let (mut last, mut following) = (8_i64, 8_i64);
    for _ in 0..size {
        if following != 0 {
            following = (last + reader.signed_exp_golomb()?).rem_euclid(256);
        }
        if following != 0 {
            last = following;
        }
    }
    Ok(())
}

fn skip_picture_order(reader: &mut BitReader) -> Result<(), Malformed> {
    match reader.exp_golomb()? {
        0 => {
            reader.exp_golomb()?;
        }
        1 => {
            reader.skip(1)?;
            reader.exp_golomb()?;
            reader.exp_golomb()?;
            let count = reader.exp_golomb()?;
            if count > 255 {
                return Err(Malformed);
            }
            for _ in 0..count {
                reader.exp_golomb()?;
            }
        }
        _ => {}
    }
    Ok(())
}
