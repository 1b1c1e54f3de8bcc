//! AV1 payloads (AV1 RTP specification §4.4): key frames and sizes by their sequence header.

use crate::bits::{BitReader, Malformed};

const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;
const FRAME_HEADER: u8 = 3;
const FRAME: u8 = 6;
const MAX_SEQUENCE_HEADER_BYTES: usize = 256;

/// (width, height) of the key frame that begins here, (0, 0) if its size cannot be read; None where none begins.
pub fn key_frame(data: &[u8]) -> Option<(u32, u32)> {
    let (start, end) = sequence_header(data).ok()??;
    let header = &data[start.min(end)..end.min(start + MAX_SEQUENCE_HEADER_BYTES)];
    Some(parse_sequence_size(header).unwrap_or((0, 0)))
}

/// Bounds of the sequence header's payload if a key frame begins here.
fn sequence_header(data: &[u8]) -> Result<Option<(usize, usize)>, Malformed> {
    let head = *data.first().ok_or(Malformed)?;
    if head & 0x80 != 0 || head & 0x08 == 0 {
        return Ok(None);
    }
    // All elements must be whole before one counts.
    let mut answer = Answer::Open(None);
    let count = usize::from(head >> 4 & 3);
    let (mut at, mut elements) = (1, 0);
    while at < data.len() {
        let size = if count > 0 && elements == count - 1 { data.len() - at } else { read_leb128(data, &mut at)? };
        if size > data.len() - at {
            return Err(Malformed);
        }
        elements += 1;
        if let Answer::Open(found) = answer {
            answer = weigh(data, at, at + size, found);
        }
        at += size;
    }
    match answer {
        Answer::Open(found) | Answer::Closed(found) => Ok(found),
        Answer::Malformed => Err(Malformed),
    }
}

type Bounds = Option<(usize, usize)>;

/// What the elements so far say.
enum Answer {
    Open(Bounds),
    Closed(Bounds),
    Malformed,
}

fn weigh(data: &[u8], begin: usize, after: usize, found: Bounds) -> Answer {
    if begin == after {
        return Answer::Open(found);
    }
    let Ok((kind, body)) = obu_header(data, begin, after) else {
        return Answer::Malformed;
    };
    match kind {
        SEQUENCE_HEADER if found.is_none() => Answer::Open(Some((body, after))),
        FRAME_HEADER | FRAME => {
            // show_existing_frame, then frame_type: both 0 in a key frame
            let is_key = body < after && data[body] & 0xE0 == 0;
            Answer::Closed(if is_key { found } else { None })
        }
        TEMPORAL_DELIMITER => Answer::Open(found),
        _ if found.is_none() => Answer::Closed(None),
        _ => Answer::Open(found),
    }
}

fn obu_header(data: &[u8], start: usize, end: usize) -> Result<(u8, usize), Malformed> {
    let head = data[start];
    let mut at = start + 1 + usize::from(head >> 2 & 1);
    if head & 2 != 0 {
        read_leb128(&data[..end], &mut at)?;
    }
    if at > end {
        return Err(Malformed);
    }
    Ok((head >> 3 & 15, at))
}

/// A little-endian base 128 number of at most eight bytes.
fn read_leb128(data: &[u8], at: &mut usize) -> Result<usize, Malformed> {
    let mut value = 0_u64;
    for shift in (0..56).step_by(7) {
        let byte = *data.get(*at).ok_or(Malformed)?;
        *at += 1;
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return usize::try_from(value).map_err(|_| Malformed);
        }
    }
    Err(Malformed)
}

/// (max_frame_width, max_frame_height) of a sequence header OBU's payload (AV1 bitstream §5.5.1).
fn parse_sequence_size(header: &[u8]) -> Result<(u32, u32), Malformed> {
    let mut reader = BitReader::new(header);
    reader.skip(4)?; // seq_profile, still_picture
    if reader.flag()? {
        reader.skip(5)?; // reduced_still_picture_header
    } else {
        skip_operating_points(&mut reader)?;
    }
    let (width_bits, height_bits) = (reader.read(4)? as usize + 1, reader.read(4)? as usize + 1);
    Ok((reader.read(width_bits)? as u32 + 1, reader.read(height_bits)? as u32 + 1))
}

fn skip_operating_points(reader: &mut BitReader) -> Result<(), Malformed> {
    let mut delay_bits = 0;
    if reader.flag()? {
        reader.skip(64)?; // timing_info
        if reader.flag()? {
            reader.exp_golomb()?;
        }
        if reader.flag()? {
            delay_bits = reader.read(5)? as usize + 1; // decoder_model_info
            reader.skip(42)?;
        }
    }
    let has_display_delay = reader.flag()?;
    for _ in 0..=reader.read(5)? {
        reader.skip(12)?;
        if reader.read(5)? > 7 {
            reader.skip(1)?;
        }
        if delay_bits > 0 && reader.flag()? {
            reader.skip(2 * delay_bits + 1)?;
        }
        if has_display_delay && reader.flag()? {
            reader.skip(4)?;
        }
    }
    Ok(())
}
