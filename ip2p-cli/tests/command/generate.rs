//! `ip2p completions` and `ip2p man`.

use std::fs;

use crate::desk::{Desk, stdout};

#[test]
fn completions_and_manual_pages_are_written() {
    let desk = Desk::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(
            stdout(&desk.ip2p(&["completions", shell])).contains("ip2p"),
            "{shell}"
        );
    }
    fs::create_dir(desk.path("man")).unwrap();
    stdout(&desk.ip2p(&["man", "man"]));
    assert!(desk.path("man/ip2p.1").exists() && desk.path("man/ip2p-edit.1").exists());
}
