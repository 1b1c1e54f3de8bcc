//! The least work that any selective forwarding unit must do on the machine at hand, so that every other figure can be
//! given as a ratio to it.
//!
//! Per burst: authenticate and decrypt each packet once (SRTP with AES-128-GCM, RFC 7714); then per subscriber and packet
//! rewrite the header and encrypt with that subscriber's key into the output buffer; and hand everything to the kernel with
//! `sendmmsg`, 64 messages at a time, either a message per datagram or, with segmentation offload, a message per
//! subscriber. The subscribers are sockets on loopback that nobody reads, with the smallest queue there is: the sender pays
//! for the way to the socket, where the datagram is dropped. With `--read` another thread reads them all, and the sender
//! pays for putting each datagram into a queue as well, as it does where a client on the same machine keeps up. Compare a
//! server with the floor that matches its clients. Nothing is parsed, counted, kept or received.
//!
//! What is printed is the sending thread's CPU time, user and system, per forwarded packet: the median of five slices.

#[cfg(not(target_os = "linux"))]
compile_error!("sendmmsg and UDP_SEGMENT are Linux's");

mod arguments;
mod cipher;
mod forward;
mod reader;
mod report;
mod system;

use std::process::ExitCode;

use arguments::Arguments;
use forward::{Case, Forwarder};

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(text) => {
            eprintln!("{text}");
            return ExitCode::from(2);
        }
    };
    match measure(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("floor: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> std::io::Result<()> {
    system::allow_many_files()?;
    let can_segment = system::can_segment()?;
    let mut rows = Vec::new();
    report::head(arguments);
    for case in cases(arguments, can_segment) {
        let mut forwarder = Forwarder::new(case, arguments.cipher)?;
        let row = if arguments.is_read {
            let sinks = forwarder.sinks()?;
            reader::while_reading(&sinks, || report::Row::measure(&mut forwarder, arguments.seconds))?
        } else {
            forwarder.shrink_sinks()?;
            report::Row::measure(&mut forwarder, arguments.seconds)?
        };
        row.print(arguments);
        rows.push(row);
    }
    report::tail(arguments, &rows);
    Ok(())
}

fn cases(arguments: &Arguments, can_segment: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    for &size in &arguments.sizes {
        for &frame in &arguments.frames {
            for &subscribers in &arguments.subscribers {
                for is_segmented in [false, true] {
                    if !is_segmented || (can_segment && frame > 1) {
                        cases.push(Case { size, subscribers, frame, is_segmented });
                    }
                }
            }
        }
    }
    cases
}
