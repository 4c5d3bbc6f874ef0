//! Models from a hub on this machine: what is asked for, what is written, and what is made of mistakes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod broken;
mod cache;
mod desk;
#[path = "../loopback/mod.rs"]
#[allow(
    unreachable_pub,
    dead_code,
    reason = "other programs use it, and more of it"
)]
mod loopback;
mod pull;
mod refused;
