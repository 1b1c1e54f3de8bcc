//! Serial number arithmetic (RFC 1982) and the widening of wire counters, as in `sansio/seqnum.py`.

/// The signed distance from `b` to `a`, in -2^(bits-1) .. 2^(bits-1)-1.
pub fn serial_difference(a: i64, b: i64, bits: u32) -> i64 {
    let half = 1_i64 << (bits - 1);
    (a.wrapping_sub(b).wrapping_add(half) & ((1_i64 << bits) - 1)) - half
}

/// The extended number nearest to `reference` whose low `bits` are `value`.
pub fn widen(value: i64, reference: i64, bits: u32) -> i64 {
    reference.wrapping_add(serial_difference(value, reference & ((1_i64 << bits) - 1), bits))
}

/// Python's `round`: half to even, as an integer.
pub fn round(value: f64) -> i64 {
    value.round_ties_even() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_wrap() {
        assert_eq!(serial_difference(0, 65535, 16), 1);
        assert_eq!(serial_difference(65535, 0, 16), -1);
        assert_eq!(serial_difference(32768, 0, 16), -32768);
        assert_eq!(widen(2, 65535, 16), 65538);
        assert_eq!(widen(65535, 2, 16), -1);
        assert_eq!(round(2.5), 2);
        assert_eq!(round(3.5), 4);
    }
}
