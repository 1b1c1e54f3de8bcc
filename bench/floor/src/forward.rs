//! The work itself: bursts from one publisher to all subscribers, subscriber by subscriber.

use std::io;
use std::net::{SocketAddrV4, UdpSocket};

use crate::cipher::{Context, Kind, HEADER, TAG};
use crate::system::{self, Message, MESSAGES};

/// What one segmented message may hold: the kernel's least maximum of datagrams, and an IP packet with room to spare.
const MAX_SEGMENTS: usize = 64;
const MAX_BYTES: usize = 65_000;
const PUBLISHER_SSRC: u32 = 1;

/// One combination of what is varied.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Bytes of a packet before encryption.
    pub size: usize,
    pub subscribers: usize,
    /// Packets of a burst.
    pub frame: usize,
    pub is_segmented: bool,
}

struct Subscriber {
    context: Context,
    address: SocketAddrV4,
    ssrc: u32,
    sequence_offset: u16,
    timestamp_offset: u32,
    sink: UdpSocket,
}

/// A publisher who repeats one burst, and its subscribers.
pub struct Forwarder {
    pub case: Case,
    pub kind: Kind,
    publisher: Context,
    /// The burst as it comes in, encrypted.
    incoming: Vec<Vec<u8>>,
    /// The same while it is worked on.
    burst: Vec<Vec<u8>>,
    subscribers: Vec<Subscriber>,
    outlet: UdpSocket,
    arena: Vec<u8>,
    top: usize,
    messages: Vec<Message>,
    /// Goes up with each burst, so that no nonce is used twice.
    roll_over_counter: u32,
}

impl Forwarder {
    pub fn new(case: Case, kind: Kind) -> io::Result<Self> {
        let publisher = Context::new(kind, &[7; 16], [7; 12]);
        let incoming: Vec<_> = (0..case.frame).map(|number| packet(&publisher, number as u16, case.size)).collect();
        let run = case.run_datagrams() * case.datagram_bytes();
        Ok(Self {
            case,
            kind,
            publisher,
            burst: incoming.clone(),
            incoming,
            subscribers: (0..case.subscribers).map(|at| Subscriber::new(at, kind)).collect::<io::Result<_>>()?,
            outlet: system::socket()?.0,
            arena: vec![0; MESSAGES * run],
            top: 0,
            messages: Vec::with_capacity(MESSAGES),
            roll_over_counter: 0,
        })
    }

    /// Give all sinks the smallest queue.
    pub fn shrink_sinks(&self) -> io::Result<()> {
        self.subscribers.iter().try_for_each(|each| system::shrink(&each.sink))
    }

    /// The subscribers' sockets.
    pub fn sinks(&self) -> io::Result<Vec<UdpSocket>> {
        self.subscribers.iter().map(|each| each.sink.try_clone()).collect()
    }

    /// Take one burst in and send it on.
    pub fn forward(&mut self) {
        for (packet, incoming) in self.burst.iter_mut().zip(&self.incoming) {
            packet.copy_from_slice(incoming);
            assert!(self.publisher.open(0, packet), "the publisher's packets are authentic");
        }
        self.roll_over_counter = self.roll_over_counter.wrapping_add(1);
        for at in 0..self.subscribers.len() {
            self.forward_to(at);
        }
        self.flush();
    }

    fn forward_to(&mut self, at: usize) {
        let segment = if self.case.is_segmented { self.case.datagram_bytes() } else { 0 };
        let mut from = 0;
        while from < self.burst.len() {
            let to = (from + self.case.run_datagrams()).min(self.burst.len());
            let (start, address) = (self.top, self.subscribers[at].address);
            for number in from..to {
                self.write(at, number);
            }
            self.messages.push(Message { to: address, start, end: self.top, segment });
            if self.messages.len() == MESSAGES {
                self.flush();
            }
            from = to;
        }
    }

    /// Write one packet of the burst for one subscriber to the top of the arena.
    fn write(&mut self, at: usize, number: usize) {
        let packet = &self.burst[number][..self.case.size];
        let subscriber = &self.subscribers[at];
        let end = self.top + self.case.datagram_bytes();
        let out = &mut self.arena[self.top..end];
        out[..HEADER].copy_from_slice(&packet[..HEADER]);
        let sequence_number = u16::from_be_bytes([packet[2], packet[3]]).wrapping_add(subscriber.sequence_offset);
        let timestamp = u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]);
        out[2..4].copy_from_slice(&sequence_number.to_be_bytes());
        out[4..8].copy_from_slice(&timestamp.wrapping_add(subscriber.timestamp_offset).to_be_bytes());
        out[8..12].copy_from_slice(&subscriber.ssrc.to_be_bytes());
        subscriber.context.seal(self.roll_over_counter, &packet[HEADER..], out);
        self.top = end;
    }

    fn flush(&mut self) {
        system::send(&self.outlet, &self.arena, &self.messages);
        self.messages.clear();
        self.top = 0;
    }
}

impl Case {
    pub fn datagram_bytes(self) -> usize {
        self.size + TAG
    }

    /// Datagrams of one message.
    fn run_datagrams(self) -> usize {
        if self.is_segmented {
            self.frame.min(MAX_SEGMENTS).min(MAX_BYTES / self.datagram_bytes())
        } else {
            1
        }
    }
}

impl Subscriber {
    fn new(at: usize, kind: Kind) -> io::Result<Self> {
        let (sink, address) = system::socket()?;
        let mut key = [3; 16];
        key[..8].copy_from_slice(&(at as u64).to_be_bytes());
        Ok(Self {
            context: Context::new(kind, &key, [9; 12]),
            address,
            ssrc: 1000 + at as u32,
            sequence_offset: at as u16,
            timestamp_offset: at as u32 * 90,
            sink,
        })
    }
}

fn packet(publisher: &Context, number: u16, size: usize) -> Vec<u8> {
    let mut out = vec![0; size + TAG];
    out[0] = 0x80;
    out[1] = 96;
    out[2..4].copy_from_slice(&number.to_be_bytes());
    out[8..12].copy_from_slice(&PUBLISHER_SSRC.to_be_bytes());
    publisher.seal(0, &vec![number as u8; size - HEADER], &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(is_segmented: bool, frame: usize, size: usize) -> Vec<Vec<u8>> {
        let case = Case { size, subscribers: 70, frame, is_segmented };
        let mut forwarder = Forwarder::new(case, Kind::default()).unwrap();
        forwarder.forward();
        let mut out = Vec::new();
        for subscriber in &forwarder.subscribers {
            subscriber.sink.set_nonblocking(true).unwrap();
            let mut datagram = [0; 2000];
            while let Ok(length) = subscriber.sink.recv(&mut datagram) {
                let ssrc = u32::from_be_bytes(datagram[8..12].try_into().unwrap());
                assert_eq!(ssrc, subscriber.ssrc);
                assert!(subscriber.context.open(1, &mut datagram[..length]));
                out.push(datagram[..length - TAG].to_vec());
            }
        }
        out
    }

    #[test]
    fn every_subscriber_gets_every_packet_under_its_own_key() {
        let got = received(false, 3, 200);
        assert_eq!(got.len(), 70 * 3);
        assert_eq!(got[5][..HEADER], [0x80, 96, 0, 3, 0, 0, 0, 90, 0, 0, 3, 233]); // the last one of the second
        assert_eq!(got[5][HEADER..], [2; 188]);
    }

    #[test]
    fn segmented_messages_carry_the_same_datagrams() {
        if system::can_segment().unwrap() {
            for (frame, size) in [(1, 1200), (8, 1200), (64, 120), (60, 1400)] {
                assert_eq!(received(true, frame, size), received(false, frame, size));
            }
        }
    }
}
