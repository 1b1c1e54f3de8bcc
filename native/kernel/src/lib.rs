//! The kernel of Atrium in Rust: all work per packet, the compiled twin of `sansio/kernel/pure.py`.
//!
//! The Python twin is the specification; both give the same bytes, notices and counters for the same calls, and the tests in
//! `tests/kernel` run on both. Modules and names follow the Python ones, where the theory of operation is told. Remote bytes
//! are read with checked access only; there is no `unsafe` outside `python.rs`.
//!
//! The crate builds without Python (`--no-default-features`), which is how its own tests run.

#![cfg_attr(not(feature = "python"), forbid(unsafe_code))]
#![cfg_attr(feature = "python", deny(unsafe_code))]

pub mod arena;
pub mod bits;
pub mod codecs;
pub mod kernel;
pub mod leg;
pub mod modes;
pub mod notice;
pub mod numbers;
pub mod packet;
pub mod rtp;
pub mod session;
pub mod spec;
pub mod srtp;
pub mod stream;
pub mod table;

#[cfg(feature = "python")]
mod python;
