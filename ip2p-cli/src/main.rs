//! The `ip2p` command.
fn main() {}
