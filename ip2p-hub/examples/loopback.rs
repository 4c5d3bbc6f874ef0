//! A hub on this machine, which serves a folder under a model's name until its standard input ends.
//!
//!     cargo run -p ip2p-hub --example loopback -- instruct-pix2pix org/name
//!
//! prints what `HF_ENDPOINT` is for it. `tests/golden/check_hub.py` tries Python's `huggingface_hub` and ip2p on it.

#![allow(
    dead_code,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "the tests' server, which does more"
)]

#[path = "../tests/loopback/mod.rs"]
mod loopback;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(folder), Some(id)) = (arguments.next(), arguments.next()) else {
        eprintln!("two arguments: a folder, and the name ORG/NAME to serve it under");
        std::process::exit(2);
    };
    let hub = loopback::Loopback::start();
    let commit = hub.commit(&id, &loopback::files_of(folder.as_ref()));
    println!("{}\n{commit}", hub.endpoint());
    let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
}
