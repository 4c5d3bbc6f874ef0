//! The command as a user meets it: what it prints, what it leaves behind, and its exit codes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod batch;
mod bench;
mod chain;
mod convert;
mod desk;
mod edit;
mod files;
mod generate;
#[cfg(feature = "hub")]
mod hub;
mod inspect;
mod interrupt;
#[cfg(feature = "hub")]
#[path = "../../../ip2p-hub/tests/loopback/mod.rs"]
#[allow(
    unreachable_pub,
    dead_code,
    reason = "other programs use it, and more of it"
)]
mod loopback;
mod lora;
mod mask;
mod refuse;
mod session;
mod sweep;
mod text;
mod train;
mod xl;
