//! The command as a user meets it: what it prints, what it leaves behind, and its exit codes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod batch;
mod chain;
mod convert;
mod desk;
mod edit;
mod files;
mod generate;
mod inspect;
mod interrupt;
mod lora;
mod mask;
mod refuse;
mod session;
mod sweep;
mod train;
