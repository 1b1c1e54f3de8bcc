//! SRTP with AES-128-GCM: the transform of RFC 7714, section 9, for packets whose header is the fixed twelve bytes.
//!
//! aws-lc-rs is what is measured: it uses the vector AES instructions where the processor has them, and encrypts from one
//! buffer straight into another. The feature `ring` adds that library for comparison.

use aws_lc_rs::aead;

/// Bytes of the RTP header.
pub const HEADER: usize = 12;
/// Bytes that encryption adds.
pub const TAG: usize = 16;

/// Which library.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Kind {
    #[default]
    AwsLc,
    #[cfg(feature = "ring")]
    Ring,
}

impl Kind {
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "aws-lc" => Some(Self::AwsLc),
            #[cfg(feature = "ring")]
            "ring" => Some(Self::Ring),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::AwsLc => "aws-lc",
            #[cfg(feature = "ring")]
            Self::Ring => "ring",
        }
    }
}

/// One direction of one participant.
pub struct Context {
    key: Key,
    salt: [u8; 12],
}

enum Key {
    AwsLc(aead::LessSafeKey),
    #[cfg(feature = "ring")]
    Ring(Box<ring::aead::LessSafeKey>),
}

impl Context {
    pub fn new(kind: Kind, key: &[u8; 16], salt: [u8; 12]) -> Self {
        let key = match kind {
            Kind::AwsLc => Key::AwsLc(aead::LessSafeKey::new(
                aead::UnboundKey::new(&aead::AES_128_GCM, key).expect("a key of 16 bytes"),
            )),
            #[cfg(feature = "ring")]
            Kind::Ring => Key::Ring(Box::new(ring::aead::LessSafeKey::new(
                ring::aead::UnboundKey::new(&ring::aead::AES_128_GCM, key).expect("a key of 16 bytes"),
            ))),
        };
        Self { key, salt }
    }

    /// Put the encrypted `payload` and its tag behind the header that stands at the front of `out` already.
    pub fn seal(&self, roll_over_counter: u32, payload: &[u8], out: &mut [u8]) {
        let (header, body) = out.split_at_mut(HEADER);
        let nonce = self.nonce(roll_over_counter, header);
        let (body, tag) = body.split_at_mut(payload.len());
        match &self.key {
            Key::AwsLc(key) => {
                let nonce = aead::Nonce::assume_unique_for_key(nonce);
                key.seal_out_of_place_scatter(nonce, aead::Aad::from(&*header), payload, body, &[], tag)
                    .expect("lengths that fit");
            }
            #[cfg(feature = "ring")]
            Key::Ring(key) => {
                let nonce = ring::aead::Nonce::assume_unique_for_key(nonce);
                body.copy_from_slice(payload);
                let made = key
                    .seal_in_place_separate_tag(nonce, ring::aead::Aad::from(&*header), body)
                    .expect("lengths that fit");
                tag.copy_from_slice(made.as_ref());
            }
        }
    }

    /// Decrypt a datagram in place; whether it was authentic.
    pub fn open(&self, roll_over_counter: u32, datagram: &mut [u8]) -> bool {
        let (header, body) = datagram.split_at_mut(HEADER);
        let nonce = self.nonce(roll_over_counter, header);
        match &self.key {
            Key::AwsLc(key) => {
                let nonce = aead::Nonce::assume_unique_for_key(nonce);
                key.open_in_place(nonce, aead::Aad::from(&*header), body).is_ok()
            }
            #[cfg(feature = "ring")]
            Key::Ring(key) => {
                let nonce = ring::aead::Nonce::assume_unique_for_key(nonce);
                key.open_in_place(nonce, ring::aead::Aad::from(&*header), body).is_ok()
            }
        }
    }

    /// RFC 7714, section 8.1.
    fn nonce(&self, roll_over_counter: u32, header: &[u8]) -> [u8; 12] {
        let mut nonce = self.salt;
        let roll_over_counter = roll_over_counter.to_be_bytes();
        for (at, byte) in header[8..12].iter().chain(&roll_over_counter).chain(&header[2..4]).enumerate() {
            nonce[at + 2] ^= byte;
        }
        nonce
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7714, section 16.1.1.
    const VECTOR: &str =
        "8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf\
                          8833899d7f27beb16a9152cf765ee4390cce";
    const PLAIN: &[u8] = b"Gallia est omnis divisa in partes tres";

    fn vector() -> Vec<u8> {
        (0..VECTOR.len()).step_by(2).map(|at| u8::from_str_radix(&VECTOR[at..at + 2], 16).unwrap()).collect()
    }

    fn contexts() -> Vec<Context> {
        let key = std::array::from_fn(|at| at as u8);
        let kinds = [Kind::from_name("aws-lc"), Kind::from_name("ring")];
        kinds.into_iter().flatten().map(|kind| Context::new(kind, &key, *b"Quid pro quo")).collect()
    }

    #[test]
    fn the_vector_of_the_rfc_is_met() {
        for context in contexts() {
            let mut out = vec![0; HEADER + PLAIN.len() + TAG];
            out[..HEADER].copy_from_slice(&vector()[..HEADER]);
            context.seal(0, PLAIN, &mut out);
            assert_eq!(out, vector());
        }
    }

    #[test]
    fn what_is_authentic_opens_and_nothing_else() {
        for context in contexts() {
            let mut datagram = vector();
            assert!(context.open(0, &mut datagram));
            assert_eq!(&datagram[HEADER..][..PLAIN.len()], PLAIN);
            let mut bent = vector();
            bent[20] ^= 1;
            assert!(!context.open(0, &mut bent));
            assert!(!context.open(1, &mut vector()));
        }
    }
}
