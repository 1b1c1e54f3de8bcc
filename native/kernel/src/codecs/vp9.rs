//! VP9 payload descriptors (RFC 9628 §4.2); sizes also from the uncompressed frame header.

use crate::bits::{BitReader, Malformed};

/// What legs need of a descriptor; numbers that it does not carry are -1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vp9Descriptor {
    /// P: the frame is predicted from earlier pictures.
    pub is_inter_picture: bool,
    /// B: first packet of a layer frame.
    pub begin_of_frame: bool,
    /// E.
    pub end_of_frame: bool,
    /// Temporal layer.
    pub tid: i64,
    /// U: from here on a receiver may go up to this temporal layer.
    pub switching_up: bool,
    /// Spatial layer.
    pub sid: i64,
    /// First packet of a key picture: what a receiver can start from.
    pub is_key_frame: bool,
    /// Of a key picture, its highest spatial layer, else 0.
    pub width: u32,
    /// As `width`.
    pub height: u32,
}

/// Reads the descriptor at the start of a payload.
pub fn parse(data: &[u8]) -> Result<Vp9Descriptor, Malformed> {
    let byte = |at: usize| data.get(at).copied().ok_or(Malformed);
    let first = byte(0)?;
    let mut at = 1;
    let (mut tid, mut sid, mut switching_up) = (-1, -1, false);
    if first & 0x80 != 0 {
        at += if byte(at)? & 0x80 != 0 { 2 } else { 1 };
        byte(at - 1)?;
    }
    if first & 0x20 != 0 {
        let layer = byte(at)?;
        at += 1;
        (tid, sid, switching_up) = (i64::from(layer >> 5), i64::from(layer >> 1 & 7), layer & 0x10 != 0);
        if first & 0x10 == 0 {
            byte(at)?;
            at += 1;
        }
    }
    if first & 0x50 == 0x50 {
        at = skip_references(data, at)?;
    }
    let mut top = None;
    if first & 0x02 != 0 {
        (at, top) = parse_structure(data, at)?;
    }
    if at > data.len() {
        return Err(Malformed);
    }
    let (mut is_key_frame, mut width, mut height) = (false, 0, 0);
    if first & 0x48 == 0x08 && sid <= 0 {
        (is_key_frame, width, height) = inspect_frame(&data[at..]);
        if let (true, Some(told)) = (is_key_frame, top) {
            (width, height) = told;
        }
    }
    Ok(Vp9Descriptor {
        is_inter_picture: first & 0x40 != 0,
        begin_of_frame: first & 0x08 != 0,
        end_of_frame: first & 0x04 != 0,
        tid,
        switching_up,
        sid,
        is_key_frame,
        width,
        height,
    })
}

/// Passes over up to three differences, each with a bit that says whether one more follows.
fn skip_references(data: &[u8], mut at: usize) -> Result<usize, Malformed> {
    for _ in 0..3 {
        let value = *data.get(at).ok_or(Malformed)?;
        at += 1;
        if value & 1 == 0 {
            return Ok(at);
        }
    }
    Err(Malformed)
}

/// The offset behind the scalability structure, and the size of its highest layer if it is told.
fn parse_structure(data: &[u8], mut at: usize) -> Result<(usize, Option<(u32, u32)>), Malformed> {
    let byte = |at: usize| data.get(at).copied().ok_or(Malformed);
    let head = byte(at)?;
    at += 1;
    let mut top = None;
    if head & 0x10 != 0 {
        for _ in 0..=head >> 5 {
            let width = u32::from(byte(at)?) << 8 | u32::from(byte(at + 1)?);
            let height = u32::from(byte(at + 2)?) << 8 | u32::from(byte(at + 3)?);
            top = Some((width, height));
            at += 4;
        }
    }
    if head & 0x08 != 0 {
        let count = byte(at)?;
        at += 1;
        for _ in 0..count {
            at += 1 + usize::from(byte(at)? >> 2 & 3);
        }
    }
    Ok((at, top))
}

/// (is a key frame, width, height) by the uncompressed header of a frame that predicts from nothing. A header that is no
/// VP9 header is taken for an encrypted one: then the descriptor is believed.
fn inspect_frame(frame: &[u8]) -> (bool, u32, u32) {
    let mut reader = BitReader::new(&frame[..frame.len().min(16)]);
    let head = (|| {
        if reader.read(2)? != 2 {
            return Ok(None);
        }
        let profile = reader.read(1)? | reader.read(1)? << 1;
        if profile == 3 {
            reader.skip(1)?;
        }
        Ok(Some((profile, reader.flag()?, reader.flag()?)))
    })();
    match head {
        Err(Malformed) => (!frame.is_empty(), 0, 0),
        Ok(None) => (true, 0, 0),
        Ok(Some((_, shows_existing, is_inter))) if shows_existing || is_inter => (false, 0, 0),
        Ok(Some((profile, _, _))) => {
            let (width, height) = frame_size(&mut reader, profile).unwrap_or((0, 0));
            (true, width, height)
        }
    }
}

fn frame_size(reader: &mut BitReader, profile: u64) -> Result<(u32, u32), Malformed> {
    const SYNC_CODE: u64 = 0x498342;
    const SRGB: u64 = 7;
    reader.skip(2)?; // show_frame, error_resilient_mode
    if reader.read(24)? != SYNC_CODE {
        return Ok((0, 0));
    }
    if profile >= 2 {
        reader.skip(1)?;
    }
    if reader.read(3)? != SRGB {
        reader.skip(if profile == 0 || profile == 2 { 1 } else { 4 })?;
    } else if profile == 1 || profile == 3 {
        reader.skip(1)?;
    }
    Ok((reader.read(16)? as u32 + 1, reader.read(16)? as u32 + 1))
}
