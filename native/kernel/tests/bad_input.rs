//! Random and damaged packets through the whole kernel: nothing panics, and what leaves lies inside its chunk.

use atrium_kernel::kernel::{Form, Kernel};
use atrium_kernel::notice::NoticeKind;
use atrium_kernel::spec::{Codec, ExtensionIds, LegMode, LegSpec, Misuse, StreamSpec};
use atrium_kernel::srtp::{Keys, Profile};

const KEY: [u8; 28] = [1; 28];
const CODECS: [(u8, Codec); 8] = [
    (96, Codec::Vp8),
    (98, Codec::Vp9),
    (100, Codec::Av1),
    (102, Codec::H264),
    (104, Codec::H265),
    (63, Codec::Red),
    (111, Codec::Opus),
    (0, Codec::Opaque),
];
const MODES: [LegMode; 5] = [LegMode::Plain, LegMode::Vp8, LegMode::Svc, LegMode::RedToOpus, LegMode::OpusToRed];

/// Numbers that a seed decides (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ mixed >> 31) as usize % limit
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..self.below(most + 1)).map(|_| self.below(256) as u8).collect()
    }

    /// RTP whose header may lie.
    fn packet(&mut self, number: u16) -> Vec<u8> {
        let flags = [0x80, 0x80, 0x90, 0x90, 0xA0, 0xB0, 0x82][self.below(7)];
        let mut packet = vec![flags, CODECS[self.below(CODECS.len())].0 | (self.below(2) as u8) << 7];
        packet.extend_from_slice(&number.to_be_bytes());
        packet.extend_from_slice(&(self.below(1 << 32) as u32).to_be_bytes());
        packet.extend_from_slice(&[0, 0, 0, [1, 1, 1, 2, 7][self.below(5)]]);
        if flags & 0x10 != 0 {
            packet.extend_from_slice(&[[0xBE, 0xDE], [0x10, 0x00]][self.below(2)]);
            packet.extend_from_slice(&[0, self.below(5) as u8]);
        }
        packet.extend(self.bytes(90));
        packet
    }
}

fn sealed(keys: &Keys, mut packet: Vec<u8>, index: u64) -> Vec<u8> {
    let extension = if packet[0] & 0x10 != 0 { 4 + 4 * usize::from(packet[15]) } else { 0 };
    let header = (12 + 4 * usize::from(packet[0] & 15) + extension).min(packet.len());
    let (end, ssrc) = (packet.len(), u32::from(packet[11]));
    packet.resize(end + keys.tag_bytes, 0);
    keys.seal(&mut packet, header, end, ssrc, index).unwrap();
    packet
}

fn ids() -> ExtensionIds {
    ExtensionIds {
        audio_level: 1,
        transport_cc: 2,
        abs_send_time: 3,
        abs_capture_time: 4,
        dependency_descriptor: 5,
        ..ExtensionIds::default()
    }
}

fn leg(session: i64, ssrc: u32, mode: LegMode) -> LegSpec {
    LegSpec {
        session,
        ssrc,
        payload_types: CODECS.map(|(one, _)| (one, one)).to_vec(),
        mode,
        clock_rate: 90000,
        extensions: ids(),
        rtx_ssrc: ssrc + 1000,
        rtx_payload_types: vec![(96, 97)],
        max_spatial: 1,
        max_temporal: 1,
        paused: false,
        mtu: 1500,
        red_payload_type: 63,
        playout_delay_ms: None,
        cuts_trailers: true,
    }
}

/// How many runs left.
fn play(seed: u64) -> usize {
    let mut dice = Dice(seed);
    let mut kernel = Kernel::<u8>::default();
    let keys = Keys::new(Profile::AeadAes128Gcm, &KEY).unwrap();
    let publisher = kernel.open_session(Profile::AeadAes128Gcm, &KEY, &KEY).unwrap();
    let subscriber = kernel.open_session(Profile::AeadAes128Gcm, &KEY, &KEY).unwrap();
    kernel.set_path(subscriber, 7).unwrap();
    for ssrc in [1, 2] {
        let spec = StreamSpec {
            ssrc,
            clock_rate: 90000,
            codecs: CODECS.to_vec(),
            extensions: ids(),
            rtx_ssrc: 0,
            rtx_payload_types: vec![],
            history: 64,
        };
        let stream = kernel.add_stream(publisher, spec).unwrap();
        kernel.stream(stream).unwrap().watched = true;
    }
    let mut draw = |bits: u32| Ok::<_, Misuse>((1_i64 << bits) - 1);
    let legs = MODES.map(|mode| kernel.add_leg(leg(subscriber, 10 + mode as u32, mode), &mut draw).unwrap());
    let mut sent = 0;
    let mut index = [32_700, 65_500, 0][dice.below(3)];
    for step in 0..60 {
        let now = f64::from(step) / 30.0;
        index += [1, 1, 1, 2, 3, 70, 3001][dice.below(7)];
        let mut datagram = sealed(&keys, dice.packet(index as u16), index);
        match dice.below(8) {
            0 => datagram = dice.bytes(100),
            1 => datagram.truncate(dice.below(100)),
            2 => {
                let at = dice.below(datagram.len());
                datagram[at] ^= 1 << dice.below(8);
            }
            _ => {}
        }
        for notice in kernel.ingest(now, publisher, Form::Protected, &[datagram], &[]).unwrap() {
            if matches!(notice.kind, NoticeKind::FirstPacket | NoticeKind::KeyFrame) {
                for leg in legs {
                    kernel.switch(now, leg, notice.stream, notice.position, 1000).unwrap();
                }
            }
        }
        let plain = dice.packet(index as u16);
        kernel.ingest(now, publisher, Form::Plain, &[plain], &[]).unwrap();
        let leg = legs[dice.below(legs.len())];
        kernel.inject(now, leg, &dice.bytes(40), 3000, false, None, dice.below(256) as i64).unwrap();
        let numbers = [dice.below(65_536) as i64, 32_767, 32_768, 32_769];
        assert!(kernel.retransmit(now, leg, &numbers, 0.0).unwrap() <= numbers.len());
        for batch in kernel.poll_transmits() {
            sent += batch.runs.len();
            assert!(batch.runs.iter().all(|run| run.start < run.end && run.end <= batch.chunk.bytes().len()));
        }
    }
    kernel.close_session(publisher).unwrap();
    kernel.close_session(subscriber).unwrap();
    assert!(kernel.poll_transmits().is_empty());
    sent
}

#[test]
fn nothing_that_comes_makes_the_kernel_panic() {
    let sent: usize = (0..300).map(play).sum();
    assert!(sent > 10_000, "{sent}"); // or little was looked at
}
