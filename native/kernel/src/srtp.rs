//! SRTP and SRTCP protection (RFC 3711, RFC 7714) with the replay rules and the order of verdicts of libsrtp, which the
//! pure twin runs on.
//!
//! Keys are derived once per session and direction and serve all its SSRCs; what is kept by SSRC is a roll-over counter and
//! a replay window. AES-GCM is aws-lc's, which measures faster here than ring (0.17 against 0.22 µs for 1,200 bytes, 0.09
//! against 0.11 for 120); AES-CM with HMAC-SHA1 is RustCrypto's, whose precomputed states cost nothing to copy.

use aes::cipher::{BlockEncrypt, InnerIvInit, KeyInit, StreamCipher, StreamCipherCoreWrapper};
use aes::{Aes128, Aes256};
use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce, UnboundKey, AES_128_GCM, AES_256_GCM};
use hmac::{Hmac, Mac};
use sha1::Sha1;

use crate::rtp::header_bytes;

/// DTLS-SRTP protection profiles (RFC 5764 §4.1.2, RFC 7714 §14.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// 128-bit counter mode, 80-bit tags.
    Aes128CmSha1,
    /// 128-bit GCM.
    AeadAes128Gcm,
    /// 256-bit GCM.
    AeadAes256Gcm,
}

impl Profile {
    /// By its number in DTLS.
    pub fn from_code(code: u32) -> Option<Self> {
        match code {
            1 => Some(Profile::Aes128CmSha1),
            7 => Some(Profile::AeadAes128Gcm),
            8 => Some(Profile::AeadAes256Gcm),
            _ => None,
        }
    }

    /// Master key and salt.
    pub fn key_bytes(self) -> usize {
        match self {
            Profile::Aes128CmSha1 => 30,
            Profile::AeadAes128Gcm => 28,
            Profile::AeadAes256Gcm => 44,
        }
    }

    /// Of a protected packet.
    pub fn tag_bytes(self) -> usize {
        match self {
            Profile::Aes128CmSha1 => 10,
            _ => 16,
        }
    }
}

/// Why a datagram was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is no SRTP.
    Malformed,
    /// It was here before, or is too old to know.
    Replayed,
    /// Another key, or other bytes.
    Forged,
}

const RTCP_HEADER_BYTES: usize = 8;
const RTCP_TRAILER_BYTES: usize = 4;
const LABELS_RTP: [u8; 3] = [0, 1, 2];
const LABELS_RTCP: [u8; 3] = [3, 4, 5];

/// The keys of one direction.
pub struct Keys {
    rtp: Cipher,
    rtcp: Cipher,
    /// What a protected packet grows by.
    pub tag_bytes: usize,
}

enum Cipher {
    Gcm { key: Box<LessSafeKey>, salt: [u8; 12] },
    Counter(Box<Counter>),
}

struct Counter {
    aes: Aes128,
    salt: [u8; 14],
    mac: Hmac<Sha1>,
}

type Keystream<'a> = ctr::CtrCore<&'a Aes128, ctr::flavors::Ctr32BE>;

impl Keys {
    /// From master key and salt; none if they are not of the profile's length.
    pub fn new(profile: Profile, master: &[u8]) -> Option<Self> {
        if master.len() != profile.key_bytes() {
            return None;
        }
        let rtp = Cipher::new(profile, master, LABELS_RTP)?;
        let rtcp = Cipher::new(profile, master, LABELS_RTCP)?;
        Some(Keys { rtp, rtcp, tag_bytes: profile.tag_bytes() })
    }

    /// Protects `packet[..end]` in place; the tag is written behind it. None if there is no room for the tag.
    pub fn seal(&self, packet: &mut [u8], header: usize, end: usize, ssrc: u32, index: u64) -> Option<usize> {
        let after = end + self.tag_bytes;
        let packet = packet.get_mut(..after)?;
        match &self.rtp {
            Cipher::Gcm { key, salt } => {
                let nonce = gcm_nonce(salt, ssrc, index);
                let (head, body) = packet.split_at_mut(header);
                let (text, tag) = body.split_at_mut(end - header);
                let sealed = key.seal_in_place_separate_tag(nonce, Aad::from(&*head), text).ok()?;
                tag.copy_from_slice(sealed.as_ref());
            }
            Cipher::Counter(counter) => {
                counter.apply(&mut packet[header..end], ssrc, index);
                let (text, tag) = packet.split_at_mut(end);
                tag.copy_from_slice(&counter.sign(text, &roll_over(index))[..10]);
            }
        }
        Some(after)
    }

    /// Authenticates and decrypts a packet in place; what remains is the plain one. The header must fit.
    fn open(&self, packet: &mut Vec<u8>, header: usize, ssrc: u32, index: u64) -> Result<(), Refused> {
        let end = packet.len().checked_sub(self.tag_bytes).ok_or(Refused::Malformed)?;
        if header > end {
            return Err(Refused::Malformed);
        }
        match &self.rtp {
            Cipher::Gcm { key, salt } => {
                let nonce = gcm_nonce(salt, ssrc, index);
                let (head, body) = packet.split_at_mut(header);
                key.open_in_place(nonce, Aad::from(&*head), body).map_err(|_| Refused::Forged)?;
            }
            Cipher::Counter(counter) => {
                let (text, tag) = packet.split_at_mut(end);
                counter.verify(text, &roll_over(index), tag)?;
                counter.apply(&mut text[header..], ssrc, index);
            }
        }
        packet.truncate(end);
        Ok(())
    }

    /// The SRTCP packet.
    pub fn seal_rtcp(&self, packet: &[u8], index: u32) -> Option<Vec<u8>> {
        let ssrc = ssrc_of_rtcp(packet)?;
        let trailer = (0x8000_0000 | index).to_be_bytes();
        let mut out = Vec::with_capacity(packet.len() + RTCP_TRAILER_BYTES + self.tag_bytes);
        out.extend_from_slice(packet);
        match &self.rtcp {
            Cipher::Gcm { key, salt } => {
                let nonce = gcm_nonce(salt, ssrc, u64::from(index));
                let (head, text) = out.split_at_mut(RTCP_HEADER_BYTES);
                let aad = rtcp_aad(head, &trailer);
                let tag = key.seal_in_place_separate_tag(nonce, Aad::from(&aad[..]), text).ok()?;
                out.extend_from_slice(tag.as_ref());
                out.extend_from_slice(&trailer);
            }
            Cipher::Counter(counter) => {
                counter.apply(&mut out[RTCP_HEADER_BYTES..], ssrc, u64::from(index));
                out.extend_from_slice(&trailer);
                let tag = counter.sign(&out, &[]);
                out.extend_from_slice(&tag[..10]);
            }
        }
        Some(out)
    }

    /// Authenticates and decrypts an SRTCP packet in place.
    fn open_rtcp(&self, packet: &mut Vec<u8>, ssrc: u32, index: u32, is_encrypted: bool) -> Result<(), Refused> {
        match &self.rtcp {
            Cipher::Gcm { key, salt } => {
                let nonce = gcm_nonce(salt, ssrc, u64::from(index));
                let trailer = packet.split_off(packet.len() - RTCP_TRAILER_BYTES);
                let plain_bytes = if is_encrypted { RTCP_HEADER_BYTES } else { packet.len() - self.tag_bytes };
                let (head, body) = packet.split_at_mut(plain_bytes);
                let aad = rtcp_aad(head, &trailer);
                key.open_in_place(nonce, Aad::from(&aad[..]), body).map_err(|_| Refused::Forged)?;
                packet.truncate(packet.len() - self.tag_bytes);
            }
            Cipher::Counter(counter) => {
                let tag = packet.split_off(packet.len() - self.tag_bytes);
                counter.verify(packet, &[], &tag)?;
                packet.truncate(packet.len() - RTCP_TRAILER_BYTES);
                counter.apply(&mut packet[RTCP_HEADER_BYTES..], ssrc, u64::from(index));
            }
        }
        Ok(())
    }

    fn rtcp_index(&self, packet: &[u8]) -> Option<(u32, bool)> {
        let (end, must_encrypt) = match self.rtcp {
            Cipher::Gcm { .. } => (packet.len(), false),
            Cipher::Counter(_) => (packet.len().checked_sub(self.tag_bytes)?, true),
        };
        let word = packet.get(end.checked_sub(RTCP_TRAILER_BYTES)?..end)?;
        let word = u32::from_be_bytes([word[0], word[1], word[2], word[3]]);
        let is_encrypted = word & 0x8000_0000 != 0;
        (is_encrypted || !must_encrypt).then_some((word & 0x7FFF_FFFF, is_encrypted))
    }
}

impl Cipher {
    fn new(profile: Profile, master: &[u8], [encryption, authentication, salting]: [u8; 3]) -> Option<Self> {
        if profile == Profile::Aes128CmSha1 {
            let (key, salt) = master.split_at(16);
            let aes = Aes128::new_from_slice(&derive(key, salt, encryption, 16)?).ok()?;
            let mac = <Hmac<Sha1> as Mac>::new_from_slice(&derive(key, salt, authentication, 20)?).ok()?;
            let salt = derive(key, salt, salting, 14)?.try_into().ok()?;
            return Some(Cipher::Counter(Box::new(Counter { aes, salt, mac })));
        }
        let (key, salt) = master.split_at(master.len() - 12);
        let algorithm = if key.len() == 16 { &AES_128_GCM } else { &AES_256_GCM };
        let session_key = UnboundKey::new(algorithm, &derive(key, salt, encryption, key.len())?).ok()?;
        let salt = derive(key, salt, salting, 12)?.try_into().ok()?;
        Some(Cipher::Gcm { key: Box::new(LessSafeKey::new(session_key)), salt })
    }
}

impl Counter {
    fn apply(&self, text: &mut [u8], ssrc: u32, index: u64) {
        let mut iv = [0; 16];
        iv[..14].copy_from_slice(&self.salt);
        xor(&mut iv[4..8], &ssrc.to_be_bytes());
        xor(&mut iv[8..14], &index.to_be_bytes()[2..]);
        // A packet has fewer than 2^16 blocks, so the counter never leaves its last 32 bits.
        let core = Keystream::inner_iv_init(&self.aes, &iv.into());
        StreamCipherCoreWrapper::from_core(core).apply_keystream(text);
    }

    fn sign(&self, text: &[u8], behind: &[u8]) -> [u8; 20] {
        let mut mac = self.mac.clone();
        mac.update(text);
        mac.update(behind);
        mac.finalize().into_bytes().into()
    }

    fn verify(&self, text: &[u8], behind: &[u8], tag: &[u8]) -> Result<(), Refused> {
        let mut mac = self.mac.clone();
        mac.update(text);
        mac.update(behind);
        mac.verify_truncated_left(tag).map_err(|_| Refused::Forged)
    }
}

/// Key derivation with AES in counter mode (RFC 3711 §4.3.1, RFC 7714 §11).
fn derive(key: &[u8], salt: &[u8], label: u8, size: usize) -> Option<Vec<u8>> {
    let mut iv = [0; 16];
    iv.get_mut(..salt.len())?.copy_from_slice(salt);
    iv[7] ^= label;
    let mut out = Vec::with_capacity(size + 16);
    for count in 0..size.div_ceil(16) {
        iv[15] = count as u8;
        let mut block = iv.into();
        match key.len() {
            16 => Aes128::new_from_slice(key).ok()?.encrypt_block(&mut block),
            _ => Aes256::new_from_slice(key).ok()?.encrypt_block(&mut block),
        }
        out.extend_from_slice(&block);
    }
    out.truncate(size);
    Some(out)
}

fn gcm_nonce(salt: &[u8; 12], ssrc: u32, index: u64) -> Nonce {
    let mut nonce = *salt;
    xor(&mut nonce[2..6], &ssrc.to_be_bytes());
    xor(&mut nonce[6..12], &index.to_be_bytes()[2..]);
    Nonce::assume_unique_for_key(nonce)
}

fn rtcp_aad(head: &[u8], trailer: &[u8]) -> Vec<u8> {
    let mut aad = Vec::with_capacity(head.len() + trailer.len());
    aad.extend_from_slice(head);
    aad.extend_from_slice(trailer);
    aad
}

fn roll_over(index: u64) -> [u8; 4] {
    ((index >> 16) as u32).to_be_bytes()
}

fn xor(out: &mut [u8], other: &[u8]) {
    for (one, two) in out.iter_mut().zip(other) {
        *one ^= two;
    }
}

/// The sender's SSRC of a compound packet; none if it is too short to have one.
pub fn ssrc_of_rtcp(packet: &[u8]) -> Option<u32> {
    let word = packet.get(4..8)?;
    Some(u32::from_be_bytes([word[0], word[1], word[2], word[3]]))
}

/// The index of packets sent with one SSRC: roll-over counter and sequence number, as libsrtp guesses them.
#[derive(Clone, Copy, Debug, Default)]
pub struct SendIndex(u64);

impl SendIndex {
    /// The index for a sequence number; none if it lies before the window, where libsrtp refuses to send.
    pub fn advance(&mut self, sequence_number: u16) -> Option<u64> {
        let (index, delta) = guess(self.0, sequence_number);
        if delta > 0 {
            self.0 = index;
        } else if delta + WINDOW <= 0 {
            return None;
        }
        Some(index)
    }
}

const WINDOW: i64 = 1024;
const WINDOW_WORDS: usize = WINDOW as usize / 64;
const MEDIAN: i64 = 1 << 15;
const RTCP_WINDOW: u32 = 128;

/// The index nearest to the last, and the step to it. Below 2^15 there has been no roll-over yet, and none is guessed.
fn guess(last: u64, sequence_number: u16) -> (u64, i64) {
    let number = i64::from(sequence_number);
    if last <= MEDIAN as u64 {
        return (number as u64, number - last as i64);
    }
    let low = (last & 0xFFFF) as i64;
    let high = last >> 16 & 0xFFFF_FFFF;
    let (high, delta) = if low < MEDIAN && number - low > MEDIAN {
        (high.wrapping_sub(1), number - low - 0x10000)
    } else if low >= MEDIAN && low - MEDIAN > number {
        (high + 1, number - low + 0x10000)
    } else {
        (high, number - low)
    };
    ((high & 0xFFFF_FFFF) << 16 | number as u64, delta)
}

/// What is known of the packets received with one SSRC.
#[derive(Clone)]
pub struct Replay {
    index: u64,
    /// By index modulo the window.
    seen: [u64; WINDOW_WORDS],
    rtcp_start: u32,
    rtcp_seen: u128,
}

impl Default for Replay {
    fn default() -> Self {
        Replay { index: 0, seen: [0; WINDOW_WORDS], rtcp_start: 0, rtcp_seen: 0 }
    }
}

impl Replay {
    fn check(&self, delta: i64) -> Result<(), Refused> {
        if delta <= 0 && (delta + WINDOW <= 0 || self.has(self.index.wrapping_add_signed(delta))) {
            return Err(Refused::Replayed);
        }
        Ok(())
    }

    fn has(&self, index: u64) -> bool {
        self.seen[(index >> 6) as usize % WINDOW_WORDS] >> (index & 63) & 1 == 1
    }

    fn note(&mut self, delta: i64) {
        let index = self.index.wrapping_add_signed(delta);
        if delta >= WINDOW {
            self.seen = [0; WINDOW_WORDS];
        } else {
            for step in 1..=delta.max(0) {
                let passed = self.index.wrapping_add_signed(step);
                self.seen[(passed >> 6) as usize % WINDOW_WORDS] &= !(1 << (passed & 63));
            }
        }
        self.seen[(index >> 6) as usize % WINDOW_WORDS] |= 1 << (index & 63);
        if delta > 0 {
            self.index = index;
        }
    }

    fn check_rtcp(&self, index: u32) -> Result<(), Refused> {
        let step = index.checked_sub(self.rtcp_start).ok_or(Refused::Replayed)?;
        if step < RTCP_WINDOW && self.rtcp_seen >> step & 1 == 1 {
            return Err(Refused::Replayed);
        }
        Ok(())
    }

    fn note_rtcp(&mut self, index: u32) {
        let step = index - self.rtcp_start;
        if step < RTCP_WINDOW {
            self.rtcp_seen |= 1 << step;
            return;
        }
        let shift = step - (RTCP_WINDOW - 1);
        self.rtcp_seen = self.rtcp_seen.checked_shr(shift).unwrap_or(0) | 1 << (RTCP_WINDOW - 1);
        self.rtcp_start += shift;
    }

    /// Opens an SRTP packet in place.
    pub fn open(&mut self, keys: &Keys, packet: &mut Vec<u8>) -> Result<(), Refused> {
        let header = header_bytes(packet).filter(|_| packet.len() >= 12).ok_or(Refused::Malformed)?;
        let ssrc = u32::from_be_bytes([packet[8], packet[9], packet[10], packet[11]]);
        let (index, delta) = guess(self.index, u16::from_be_bytes([packet[2], packet[3]]));
        self.check(delta)?;
        keys.open(packet, header, ssrc, index)?;
        self.note(delta);
        Ok(())
    }

    /// Opens an SRTCP packet in place.
    pub fn open_rtcp(&mut self, keys: &Keys, packet: &mut Vec<u8>) -> Result<(), Refused> {
        if packet.len() < RTCP_HEADER_BYTES + keys.tag_bytes + RTCP_TRAILER_BYTES {
            return Err(Refused::Malformed);
        }
        let ssrc = ssrc_of_rtcp(packet).ok_or(Refused::Malformed)?;
        let (index, is_encrypted) = keys.rtcp_index(packet).ok_or(Refused::Malformed)?;
        self.check_rtcp(index)?;
        keys.open_rtcp(packet, ssrc, index, is_encrypted)?;
        self.note_rtcp(index);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILES: [Profile; 3] = [Profile::Aes128CmSha1, Profile::AeadAes128Gcm, Profile::AeadAes256Gcm];

    fn keys(profile: Profile) -> Keys {
        Keys::new(profile, &(0..profile.key_bytes() as u8).collect::<Vec<_>>()).unwrap()
    }

    fn sealed(keys: &Keys, sequence_number: u16, index: u64) -> Vec<u8> {
        let mut packet = vec![0x80, 96, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1, b'h', b'i'];
        packet[2..4].copy_from_slice(&sequence_number.to_be_bytes());
        let end = packet.len();
        packet.resize(end + 16, 0);
        let after = keys.seal(&mut packet, 12, end, 1, index).unwrap();
        packet.truncate(after);
        packet
    }

    #[test]
    fn derivation_follows_the_test_vectors_of_rfc_3711() {
        let key = 0xE1F97A0D3E018BE0D64FA32C06DE4139_u128.to_be_bytes();
        let salt = &0x0EC675AD498AFEEBB6960B3AABE6_u128.to_be_bytes()[2..];
        assert_eq!(derive(&key, salt, 0, 16).unwrap(), 0xC61E7A93744F39EE10734AFE3FF7A087_u128.to_be_bytes());
        assert_eq!(derive(&key, salt, 2, 14).unwrap(), 0x30CBBC08863D8C85D49DB34A9AE1_u128.to_be_bytes()[2..]);
        let authentication = derive(&key, salt, 1, 20).unwrap();
        assert_eq!(authentication[..4], [0xCE, 0xBE, 0x32, 0x1F]);
    }

    #[test]
    fn what_is_sealed_opens_once() {
        for profile in PROFILES {
            let keys = keys(profile);
            let mut replay = Replay::default();
            let packet = sealed(&keys, 7, 7);
            let mut plain = packet.clone();
            assert_eq!(replay.open(&keys, &mut plain), Ok(()));
            assert_eq!(plain[12..], *b"hi");
            assert_eq!(replay.open(&keys, &mut packet.clone()), Err(Refused::Replayed));
            let mut forged = sealed(&keys, 8, 8);
            forged[13] ^= 1;
            assert_eq!(replay.open(&keys, &mut forged), Err(Refused::Forged));
            assert_eq!(replay.open(&keys, &mut vec![0x80; 15]), Err(Refused::Malformed));
        }
    }

    #[test]
    fn roll_over_is_followed_both_ways() {
        let keys = keys(Profile::AeadAes128Gcm);
        let mut replay = Replay::default();
        let mut index = SendIndex::default();
        for sequence_number in [40000, 65535, 1, 0, 65534, 30000, 1] {
            let Some(found) = index.advance(sequence_number) else {
                assert_eq!(sequence_number, 1);
                continue;
            };
            assert_eq!(replay.open(&keys, &mut sealed(&keys, sequence_number, found)), Ok(()));
        }
    }

    #[test]
    fn rtcp_is_opened_once() {
        for profile in PROFILES {
            let keys = keys(profile);
            let mut replay = Replay::default();
            let packet = [0x80, 200, 0, 1, 0, 0, 0, 5, 1, 2, 3, 4];
            for index in [1, 300, 200, 2_000_000] {
                let protected = keys.seal_rtcp(&packet, index).unwrap();
                let mut plain = protected.clone();
                assert_eq!(replay.open_rtcp(&keys, &mut plain), Ok(()));
                assert_eq!(plain, packet);
                assert_eq!(replay.open_rtcp(&keys, &mut protected.clone()), Err(Refused::Replayed));
            }
            let late = keys.seal_rtcp(&packet, 100).unwrap();
            assert_eq!(replay.open_rtcp(&keys, &mut late.clone()), Err(Refused::Replayed));
        }
    }
}
