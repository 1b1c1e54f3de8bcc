//! Bits, most significant first: what codec headers and the dependency descriptor are made of.

/// The bytes end before the field does, or no encoder writes what they say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Reads from the first bit on.
pub struct BitReader<'a> {
    data: &'a [u8],
    /// Bits read so far.
    pub position: usize,
}

impl<'a> BitReader<'a> {
    /// A reader at the first bit.
    pub fn new(data: &'a [u8]) -> Self {
        BitReader { data, position: 0 }
    }

    /// At most 64 bits.
    pub fn read(&mut self, bits: usize) -> Result<u64, Malformed> {
        let end = self.position + bits;
        if end > self.data.len() * 8 {
            // Whoever reads on after an error finds the end there too.
            self.position = end;
            return Err(Malformed);
        }
        let mut value = 0;
        let mut at = self.position;
        while at < end {
            let take = (8 - at % 8).min(end - at);
            let byte = u64::from(self.data[at / 8]);
            value = value << take | byte >> (8 - at % 8 - take) & ((1 << take) - 1);
            at += take;
        }
        self.position = end;
        Ok(value)
    }

    /// Passes over any number of bits.
    pub fn skip(&mut self, bits: usize) -> Result<(), Malformed> {
        self.position += bits;
        if self.position > self.data.len() * 8 {
            return Err(Malformed);
        }
        Ok(())
    }

    /// One bit.
    pub fn flag(&mut self) -> Result<bool, Malformed> {
        Ok(self.read(1)? == 1)
    }

    /// A number in 0 .. n-1, in as few bits as that takes (`ns(n)`).
    pub fn non_symmetric(&mut self, n: u64) -> Result<u64, Malformed> {
        let width = 64 - n.leading_zeros() as usize;
        let short_codes = (1_u64 << width) - n;
        let value = self.read(width.saturating_sub(1))?;
        if value < short_codes {
            return Ok(value);
        }
        Ok((value << 1) - short_codes + self.read(1)?)
    }

    /// `ue(v)`: at most 32 bits, as longer ones occur in no field.
    pub fn exp_golomb(&mut self) -> Result<i64, Malformed> {
        let mut zeros = 0;
        while self.read(1)? == 0 {
            zeros += 1;
            if zeros > 32 {
                return Err(Malformed);
            }
        }
        Ok((1_i64 << zeros) - 1 + self.read(zeros)? as i64)
    }

    /// `se(v)`.
    pub fn signed_exp_golomb(&mut self) -> Result<i64, Malformed> {
        let code = self.exp_golomb()?;
        Ok(if code & 1 == 1 { (code + 1) / 2 } else { -(code / 2) })
    }
}

/// Collects bits; the inverse of `BitReader`.
#[derive(Default)]
pub struct BitWriter {
    bytes: Vec<u8>,
    bits: usize,
}

impl BitWriter {
    /// The low `bits` of `value`, at most 64.
    pub fn write(&mut self, value: u64, bits: usize) {
        for shift in (0..bits).rev() {
            if self.bits % 8 == 0 {
                self.bytes.push(0);
            }
            if value >> shift & 1 == 1 {
                let last = self.bytes.len() - 1;
                self.bytes[last] |= 0x80 >> (self.bits % 8);
            }
            self.bits += 1;
        }
    }

    /// The bits of `data` from one to another.
    pub fn copy(&mut self, data: &[u8], from: usize, to: usize) -> Result<(), Malformed> {
        let mut reader = BitReader::new(data);
        reader.skip(from)?;
        let mut left = to.saturating_sub(from);
        while left > 0 {
            let take = left.min(32);
            self.write(reader.read(take)?, take);
            left -= take;
        }
        Ok(())
    }

    /// Everything written, padded with zero bits to whole bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_across_bytes() {
        let mut reader = BitReader::new(&[0b1010_0101, 0b1100_0011]);
        assert_eq!(reader.read(3), Ok(0b101));
        assert_eq!(reader.read(7), Ok(0b0010111));
        assert_eq!(reader.read(7), Err(Malformed));
    }

    #[test]
    fn codes_of_no_width_are_zero() {
        let mut reader = BitReader::new(&[]);
        assert_eq!(reader.non_symmetric(1), Ok(0));
        let mut reader = BitReader::new(&[0b1100_0000]);
        assert_eq!(reader.non_symmetric(5), Ok(3));
    }

    #[test]
    fn copies_what_it_read() {
        let mut writer = BitWriter::default();
        writer.write(0b101, 3);
        writer.copy(&[0xF0, 0x0F, 0xAA], 2, 22).unwrap();
        assert_eq!(writer.into_bytes(), [0b1011_1000, 0b0000_0111, 0b1101_0100]);
    }
}
