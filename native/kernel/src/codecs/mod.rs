//! What is read of payloads, each module the twin of one in `sansio/rtp`.

pub mod av1;
pub mod descriptor;
pub mod h264;
pub mod h265;
pub mod red;
pub mod trailer;
pub mod vp8;
pub mod vp9;
