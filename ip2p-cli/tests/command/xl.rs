//! Checkpoints of Stable Diffusion XL.

use ip2p_testing::fixture;

use crate::desk::{Desk, stdout};

#[test]
fn a_checkpoint_of_xl_is_inspected_and_edits_from_folder_and_file() {
    let desk = Desk::new();
    let tiny = fixture("tiny-sdxl");
    let tiny = tiny.to_str().unwrap();
    let said = stdout(&desk.ip2p(&["inspect", tiny]));
    for words in [
        "an InstructPix2Pix model",
        "family               Sdxl",
        "latents scaled by    0.13025, the source image's by 1",
        "null text Zeros, text state Penultimate",
        "by default           30 steps of euler at 768 pixels, text scale 3, image scale 1.5",
        "text_encoder_2 (CLIPTextModelWithProjection)",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let edit = |model: &str, output: &str| desk.small_edit(&["--model", model], output);
    let expected = edit(tiny, "a.png");
    stdout(&desk.ip2p(&["convert", tiny, "xl.safetensors", "--precision", "f16"]));
    assert_eq!(edit("xl.safetensors", "b.png"), expected);
    stdout(&desk.ip2p(&["convert", "xl.safetensors", "folder", "--precision", "f16"]));
    assert_eq!(edit("folder", "c.png"), expected);
}
