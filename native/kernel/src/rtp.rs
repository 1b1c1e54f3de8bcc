//! RTP headers (RFC 3550 §5.1) and blocks of header extensions (RFC 8285), as in `sansio/rtp`.

use crate::bits::Malformed;

const ONE_BYTE_PROFILE: u16 = 0xBEDE;

/// The fixed header, and where the rest lies in the packet.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// 0x80 or 0.
    pub marker: u8,
    /// 7 bits.
    pub payload_type: u8,
    /// 16 bits.
    pub sequence_number: u16,
    /// 32 bits.
    pub timestamp: u32,
    /// Synchronization source.
    pub ssrc: u32,
    /// Header extensions.
    pub extensions: Extensions,
    /// Behind the header.
    pub payload_start: usize,
    /// Without padding.
    pub payload_end: usize,
}

/// Where the elements of a packet lie, and in which form.
#[derive(Clone, Copy, Debug)]
pub struct Extensions {
    form: Form,
    start: usize,
    end: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    None,
    OneByte,
    TwoByte,
}

/// How many bytes the header takes with contributing sources and extensions; none if the packet is too short for it.
pub fn header_bytes(data: &[u8]) -> Option<usize> {
    let first = *data.first()?;
    let mut at = 12 + 4 * usize::from(first & 0x0F);
    if first & 0x10 != 0 {
        let words = data.get(at + 2..at + 4)?;
        at += 4 + 4 * usize::from(u16::from_be_bytes([words[0], words[1]]));
    }
    (data.len() >= at).then_some(at)
}

/// The header of a decrypted packet, its extensions walked through once.
pub fn parse(data: &[u8]) -> Result<Header, Malformed> {
    if data.len() < 12 || data[0] >> 6 != 2 {
        return Err(Malformed);
    }
    let payload_start = header_bytes(data).ok_or(Malformed)?;
    let after_csrcs = 12 + 4 * usize::from(data[0] & 0x0F);
    let mut extensions = Extensions { form: Form::None, start: payload_start, end: payload_start };
    if data[0] & 0x10 != 0 {
        let profile = u16::from_be_bytes([data[after_csrcs], data[after_csrcs + 1]]);
        extensions.start = after_csrcs + 4;
        extensions.form = match profile {
            ONE_BYTE_PROFILE => Form::OneByte,
            _ if profile & 0xFFF0 == 0x1000 => Form::TwoByte, // the low 4 bits are "appbits" (RFC 8285 §4.3)
            _ => Form::None,
        };
    }
    let mut padding = 0;
    if data[0] & 0x20 != 0 {
        padding = usize::from(data[data.len() - 1]);
        if padding == 0 || padding > data.len() - payload_start {
            return Err(Malformed);
        }
    }
    extensions.walk(data, |_, _| {})?;
    Ok(Header {
        marker: data[1] & 0x80,
        payload_type: data[1] & 0x7F,
        sequence_number: u16::from_be_bytes([data[2], data[3]]),
        timestamp: u32::from_be_bytes([data[4], data[5], data[6], data[7]]),
        ssrc: u32::from_be_bytes([data[8], data[9], data[10], data[11]]),
        extensions,
        payload_start,
        payload_end: data.len() - padding,
    })
}

/// Where a value lies in its packet.
pub type Span = (u32, u32);

impl Extensions {
    /// The value under an id; where the id occurs twice, the last.
    pub fn find(&self, data: &[u8], wanted: u8) -> Option<Span> {
        let mut found = None;
        // What was walked once without an error is so again.
        let _ = self.walk(data, |identifier, span| {
            if identifier == wanted {
                found = Some(span);
            }
        });
        found
    }

    fn walk(&self, data: &[u8], mut visit: impl FnMut(u8, Span)) -> Result<(), Malformed> {
        let mut at = self.start;
        while self.form != Form::None && at < self.end {
            let first = data[at];
            at += 1;
            if first == 0 {
                continue; // padding
            }
            let identifier;
            let after;
            if self.form == Form::OneByte {
                if first >= 0xF0 {
                    break; // id 15 ends the processing of the whole block
                }
                identifier = first >> 4;
                after = at + usize::from(first & 0x0F) + 1;
            } else {
                if at == self.end {
                    return Err(Malformed);
                }
                identifier = first;
                after = at + 1 + usize::from(data[at]);
                at += 1;
            }
            if after > self.end {
                return Err(Malformed);
            }
            visit(identifier, (at as u32, after as u32));
            at = after;
        }
        Ok(())
    }
}

/// Writes a block with its header behind `at` and returns where it ends. The elements are (id, value) pairs; the one-byte
/// form is written where that can say it and `two_byte` is not asked for. Nothing is written if there is no room.
pub fn write_extensions<'a>(
    out: &mut [u8],
    at: usize,
    elements: impl Iterator<Item = (u8, &'a [u8])> + Clone,
    two_byte: bool,
) -> Option<usize> {
    let fits = |(identifier, value): (u8, &[u8])| identifier <= 14 && (1..=16).contains(&value.len());
    let two_byte = two_byte || !elements.clone().all(fits);
    let mut end = at + 4;
    for (identifier, value) in elements {
        if two_byte {
            out.get_mut(end..end + 2)?.copy_from_slice(&[identifier, value.len() as u8]);
            end += 2;
        } else {
            *out.get_mut(end)? = identifier << 4 | (value.len() - 1) as u8;
            end += 1;
        }
        out.get_mut(end..end + value.len())?.copy_from_slice(value);
        end += value.len();
    }
    let words = (end - at - 4).div_ceil(4);
    let block = out.get_mut(at..at + 4 + 4 * words)?;
    block[..2].copy_from_slice(if two_byte { &[0x10, 0x00] } else { &[0xBE, 0xDE] });
    block[2..4].copy_from_slice(&(words as u16).to_be_bytes());
    block[end - at..].fill(0);
    Some(at + 4 + 4 * words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(profile: u16, block: &[u8]) -> Vec<u8> {
        let mut data = vec![0x90, 96, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1];
        data.extend_from_slice(&profile.to_be_bytes());
        data.extend_from_slice(&(block.len() as u16 / 4).to_be_bytes());
        data.extend_from_slice(block);
        data
    }

    #[test]
    fn the_last_of_two_elements_counts() {
        let data = packet(0xBEDE, &[0x10, 1, 0x10, 2, 0x21, 3, 4, 0]);
        let header = parse(&data).unwrap();
        let (start, end) = header.extensions.find(&data, 1).unwrap();
        assert_eq!(data[start as usize..end as usize], [2]);
        assert!(header.extensions.find(&data, 3).is_none());
    }

    #[test]
    fn lying_lengths_are_errors() {
        assert!(parse(&packet(0xBEDE, &[0x13, 1, 2, 3])).is_err());
        assert!(parse(&packet(0x1000, &[1, 3, 2, 3])).is_err());
        let mut data = packet(0xBEDE, &[]);
        data[15] = 1;
        assert!(parse(&data).is_err());
    }

    #[test]
    fn large_values_take_the_two_byte_form() {
        let mut out = [0xFF; 64];
        let value = [7; 17];
        let end = write_extensions(&mut out, 0, [(3, &value[..])].into_iter(), false).unwrap();
        assert_eq!(out[..6], [0x10, 0, 0, 5, 3, 17]);
        assert_eq!(end, 24);
        assert_eq!(out[23], 0);
    }
}
