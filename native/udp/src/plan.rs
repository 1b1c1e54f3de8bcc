//! From runs of datagrams to messages for the kernel.

use std::net::{IpAddr, SocketAddr};

/// Datagrams of one message: UDP_MAX_SEGMENTS of older Linux kernels.
const MAX_SEGMENTS: usize = 64;
/// Bytes of one message: what the length field of an IP packet allows, with headers to spare.
const MAX_BYTES: usize = 65_000;

/// Bytes of a record.
pub const RECORD_BYTES: usize = 32;

/// One run as `RUN_RECORD` of `sansio/outputs.py` has it.
pub struct Record {
    /// Where to; none if that is no IP address.
    pub to: Option<SocketAddr>,
    /// Where the first datagram starts.
    pub start: usize,
    /// Where the last one ends.
    pub end: usize,
    /// Bytes of each but the last.
    pub segment: usize,
    /// Which local address it leaves from.
    pub local: u16,
}

impl Record {
    /// Any bytes make some record.
    pub fn read(bytes: &[u8; RECORD_BYTES]) -> Self {
        let long = |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]) as usize;
        let short = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
        let mut address = [0; 16];
        address.copy_from_slice(&bytes[16..]);
        let ip = match short(12) {
            4 => Some(IpAddr::from([address[0], address[1], address[2], address[3]])),
            6 => Some(IpAddr::from(address)),
            _ => None,
        };
        Record {
            to: ip.map(|ip| SocketAddr::new(ip, short(10))),
            start: long(0),
            end: long(4),
            segment: short(8).into(),
            local: short(14),
        }
    }
}

/// Bytes `start` to `end` of a buffer for one destination, one datagram for every `segment` bytes; the last may be shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where to.
    pub to: SocketAddr,
    /// Where the first datagram starts.
    pub start: usize,
    /// Where the last one ends.
    pub end: usize,
    /// Bytes of each but the last.
    pub segment: usize,
}

impl Message {
    /// How many datagrams it is.
    pub fn datagrams(&self) -> usize {
        (self.end - self.start).div_ceil(self.segment)
    }

    /// The same in messages of one datagram each.
    pub fn singles(self) -> impl Iterator<Item = Message> {
        (self.start..self.end).step_by(self.segment).map(move |start| {
            let end = self.end.min(start + self.segment);
            Message { start, end, segment: end - start, ..self }
        })
    }

    /// The same in messages that the kernel can cut.
    fn pieces(self) -> impl Iterator<Item = Message> {
        let bytes = self.segment * MAX_SEGMENTS.min(MAX_BYTES / self.segment).max(1);
        (self.start..self.end).step_by(bytes).map(move |start| Message {
            start,
            end: self.end.min(start + bytes),
            ..self
        })
    }

    /// Whether `next` was taken in: it must follow in the buffer and go to the same destination, and only the last datagram of
    /// the whole may be shorter.
    fn absorb(&mut self, next: &Message) -> bool {
        let is_open = (self.end - self.start) % self.segment == 0;
        let fits = next.segment == self.segment || (next.segment < self.segment && next.datagrams() == 1);
        let is_small = self.datagrams() + next.datagrams() <= MAX_SEGMENTS && next.end - self.start <= MAX_BYTES;
        let joins = is_open && fits && is_small && self.end == next.start && self.to == next.to;
        if joins {
            self.end = next.end;
        }
        joins
    }
}

/// Add a run to the messages so far. `segment` of a run is not zero.
pub fn add(messages: &mut Vec<Message>, run: Message, can_segment: bool) {
    if !can_segment {
        messages.extend(run.singles());
        return;
    }
    for piece in run.pieces() {
        if !messages.last_mut().is_some_and(|last| last.absorb(&piece)) {
            messages.push(piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(runs: &[(u16, usize, usize, usize)], can_segment: bool) -> Vec<(u16, usize, usize, usize)> {
        let mut messages = Vec::new();
        for &(port, start, end, segment) in runs {
            add(&mut messages, Message { to: ([127, 0, 0, 1], port).into(), start, end, segment }, can_segment);
        }
        messages.iter().map(|each| (each.to.port(), each.start, each.end, each.segment)).collect()
    }

    #[test]
    fn records_are_read_as_they_were_packed() {
        let mut bytes = [0; RECORD_BYTES];
        bytes[..4].copy_from_slice(&70_000_u32.to_ne_bytes());
        bytes[4..8].copy_from_slice(&72_000_u32.to_ne_bytes());
        for (at, value) in [1200_u16, 7882, 4, 3].into_iter().enumerate() {
            bytes[8 + 2 * at..10 + 2 * at].copy_from_slice(&value.to_ne_bytes());
        }
        bytes[16..20].copy_from_slice(&[192, 0, 2, 1]);
        let Record { to, start, end, segment, local } = Record::read(&bytes);
        assert_eq!((to, start, end), (Some("192.0.2.1:7882".parse().unwrap()), 70_000, 72_000));
        assert_eq!((segment, local), (1200, 3));
        bytes[12..14].copy_from_slice(&6_u16.to_ne_bytes());
        assert_eq!(Record::read(&bytes).to, Some("[c000:201::]:7882".parse().unwrap()));
        assert_eq!(Record::read(&[0; RECORD_BYTES]).to, None);
    }

    #[test]
    fn without_segmentation_each_datagram_is_a_message() {
        assert_eq!(plan(&[(1, 0, 25, 10)], false), [(1, 0, 10, 10), (1, 10, 20, 10), (1, 20, 25, 5)]);
    }

    #[test]
    fn a_run_is_one_message() {
        assert_eq!(plan(&[(1, 0, 25, 10), (2, 25, 30, 5)], true), [(1, 0, 25, 10), (2, 25, 30, 5)]);
    }

    #[test]
    fn an_empty_run_is_none() {
        assert_eq!(plan(&[(1, 7, 7, 10)], true), []);
        assert_eq!(plan(&[(1, 7, 7, 10)], false), []);
    }

    #[test]
    fn neighbours_to_one_destination_are_joined() {
        assert_eq!(plan(&[(1, 0, 10, 10), (1, 10, 20, 10), (1, 20, 24, 4)], true), [(1, 0, 24, 10)]);
        assert_eq!(plan(&[(1, 0, 20, 10), (1, 20, 45, 10)], true), [(1, 0, 45, 10)]);
    }

    #[test]
    fn what_would_be_cut_elsewhere_stays_apart() {
        for (first, second) in [
            ((1, 0, 10, 10), (2, 10, 20, 10)), // another destination
            ((1, 0, 10, 10), (1, 11, 21, 10)), // a gap
            ((1, 0, 15, 10), (1, 15, 25, 10)), // a short one inside
            ((1, 0, 10, 10), (1, 10, 22, 12)), // a longer one
            ((1, 0, 10, 10), (1, 10, 18, 4)),  // two short ones
        ] {
            assert_eq!(plan(&[first, second], true), [first, second]);
        }
    }

    #[test]
    fn messages_keep_the_limits_of_the_kernel() {
        assert_eq!(plan(&[(1, 0, 1000, 10)], true), [(1, 0, 640, 10), (1, 640, 1000, 10)]);
        assert_eq!(plan(&[(1, 0, 640, 10), (1, 640, 650, 10)], true), [(1, 0, 640, 10), (1, 640, 650, 10)]);
        assert_eq!(plan(&[(1, 0, 72_000, 1200)], true), [(1, 0, 64_800, 1200), (1, 64_800, 72_000, 1200)]);
        assert_eq!(plan(&[(1, 0, 70_000, 70_000)], true), [(1, 0, 70_000, 70_000)]);
        // nothing helps; the kernel says so
    }

    #[test]
    fn joined_or_not_the_datagrams_are_the_same() {
        let runs = [(1, 0, 25, 10), (1, 25, 35, 10), (1, 35, 45, 10), (1, 45, 50, 5), (2, 50, 55, 5), (2, 55, 57, 2)];
        let mut joined = Vec::new();
        for (port, start, end, segment) in plan(&runs, true) {
            joined.extend(Message { to: ([127, 0, 0, 1], port).into(), start, end, segment }.singles());
        }
        let joined: Vec<_> = joined.iter().map(|each| (each.to.port(), each.start, each.end, each.segment)).collect();
        assert_eq!(joined, plan(&runs, false));
    }
}
