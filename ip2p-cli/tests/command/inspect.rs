//! `ip2p inspect`.

use serde_json::Value;

use crate::desk::{Desk, failure, stdout, tiny};

#[test]
fn inspect_says_how_a_picture_was_made_and_what_a_checkpoint_is() {
    let desk = Desk::new();
    stdout(&desk.edit(&["photo.png", "make it snowy", "-o", "out.png", "--seed", "7"]));
    let text = stdout(&desk.ip2p(&["inspect", "out.png"]));
    assert!(
        text.starts_with("make it snowy\n") && text.contains("Seed: 7"),
        "{text}"
    );
    let record: Value =
        serde_json::from_str(&stdout(&desk.ip2p(&["inspect", "out.png", "--json"]))).unwrap();
    assert_eq!(record["seed"], 7);
    let tiny = tiny();
    let text = stdout(&desk.ip2p(&["inspect", tiny.to_str().unwrap(), "--weights"]));
    assert!(
        text.contains("InstructPix2Pix") && text.contains("[16, 8, 3, 3] conv_in.weight"),
        "{text}"
    );
    let taesd = ip2p_testing::fixture("tiny-taesd");
    let text = stdout(&desk.ip2p(&["inspect", taesd.to_str().unwrap()]));
    assert!(
        text.contains("3 steps of dpmpp-2m at 64 pixels") && text.contains("vae (AutoencoderTiny)"),
        "{text}"
    );
    let (message, code) = failure(&desk.ip2p(&["inspect", "photo.png"]));
    assert!(
        message.contains("photo.png: holds no record") && code == 3,
        "{message}"
    );
}
