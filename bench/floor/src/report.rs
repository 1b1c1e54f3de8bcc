//! Measuring a case, and printing what came out.

use std::io;
use std::time::{Duration, Instant};

use crate::arguments::Arguments;
use crate::forward::{Case, Forwarder};
use crate::system;

const SLICES: u32 = 5;

/// One line of the table.
pub struct Row {
    case: Case,
    cipher: &'static str,
    /// Microseconds per forwarded packet, the median of the slices.
    us: f64,
    /// The share of it that was spent in the kernel.
    system_share: f64,
}

impl Row {
    pub fn measure(forwarder: &mut Forwarder, seconds: f64) -> io::Result<Self> {
        let slice = Duration::from_secs_f64(seconds / f64::from(SLICES + 1));
        slice_of(forwarder, slice)?; // fills caches and queues
        let mut slices = (0..SLICES).map(|_| slice_of(forwarder, slice)).collect::<io::Result<Vec<_>>>()?;
        slices.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (us, system_share) = slices[slices.len() / 2];
        Ok(Self { case: forwarder.case, cipher: forwarder.kind.name(), us, system_share })
    }

    pub fn print(&self, arguments: &Arguments) {
        if !arguments.is_json {
            let Case { size, subscribers, frame, is_segmented } = self.case;
            let send = if is_segmented { "segmented" } else { "sendmmsg" };
            let (us, system) = (self.us, self.us * self.system_share);
            println!("{size:6}{subscribers:13}{frame:7}  {send:10}{us:9.2}{:9.2}{system:9.2}", us - system);
        }
    }

    fn json(&self) -> String {
        let Case { size, subscribers, frame, is_segmented } = self.case;
        format!(
            "{{\"kernel\": \"floor\", \"size\": {size}, \"publishers\": 1, \"subscribers\": {subscribers}, \
             \"frame\": {frame}, \"segmented\": {is_segmented}, \"cipher\": \"{}\", \"us_per_packet\": {:.4}, \
             \"system_us_per_packet\": {:.4}}}",
            self.cipher,
            self.us,
            self.us * self.system_share
        )
    }
}

/// The head of the table.
pub fn head(arguments: &Arguments) {
    if !arguments.is_json {
        let sinks = if arguments.is_read { "read by another thread" } else { "never read" };
        println!("us of CPU per forwarded packet, {}, sockets {sinks}", arguments.cipher.name());
        println!(
            "{:>6}{:>13}{:>7}  {:10}{:>9}{:>9}{:>9}",
            "bytes", "subscribers", "frame", "", "all", "user", "system"
        );
    }
}

/// All rows as a list of objects, where that is asked for.
pub fn tail(arguments: &Arguments, rows: &[Row]) {
    if arguments.is_json {
        let rows: Vec<_> = rows.iter().map(Row::json).collect();
        println!("[\n  {}\n]", rows.join(",\n  "));
    }
}

/// Microseconds of CPU per packet over so much time, and the share of the kernel in it.
fn slice_of(forwarder: &mut Forwarder, time: Duration) -> io::Result<(f64, f64)> {
    let case = forwarder.case;
    let bursts_between_looks = (1000 / (case.subscribers * case.frame)).max(1);
    let mut packets = 0;
    let (user, system) = system::cpu_seconds()?;
    let start = Instant::now();
    while start.elapsed() < time {
        for _ in 0..bursts_between_looks {
            forwarder.forward();
        }
        packets += bursts_between_looks * case.subscribers * case.frame;
    }
    let (user_after, system_after) = system::cpu_seconds()?;
    let (user, system) = (user_after - user, system_after - system);
    Ok(((user + system) / packets as f64 * 1e6, system / (user + system).max(f64::MIN_POSITIVE)))
}
