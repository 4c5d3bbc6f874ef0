//! Edits whose U-Net is of whole numbers of 8 bits, which it is on the CPU alone.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::{photo, quick};
use ip2p::{Editor, Error, Lora, MemoryEdit, Model, Precision, Size, check_precision};
use ip2p_testing::{device, fixture};

fn load(model: Model, precision: Precision) -> Editor {
    model.load(&device(), precision, &mut |_| ()).unwrap()
}

fn pixels(editor: &Editor) -> Vec<u8> {
    let edited = editor.edit(&photo(80, 64), "make it snowy", &quick());
    edited.unwrap().photo.rgb().pixels().to_vec()
}

fn model() -> Model {
    Model::open(fixture("tiny-ip2p")).unwrap()
}

fn computes() -> bool {
    check_precision(&device(), Precision::Int8).is_ok()
}

#[test]
fn other_devices_say_what_they_have() {
    match check_precision(&device(), Precision::Int8) {
        Ok(()) => assert_eq!(device(), ip2p::Device::flex()),
        Err(error) => {
            let said = error.to_string();
            assert!(matches!(error, Error::Device { .. }), "{said}");
            assert!(
                said.contains("does not compute in int8; it has f32"),
                "{said}"
            );
        }
    }
}

#[test]
fn an_edit_is_near_that_of_f32_and_not_that_of_bf16() {
    if !computes() {
        return;
    }
    let exact = pixels(&load(model(), Precision::F32));
    let found = pixels(&load(model(), Precision::Int8));
    let squares = exact
        .iter()
        .zip(&found)
        .map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2));
    let error = squares.sum::<f64>() / exact.len() as f64;
    let psnr = 10.0 * (255.0_f64.powi(2) / error).log10();
    assert!(psnr > 32.0, "{psnr} dB");
    assert_ne!(found, pixels(&load(model(), Precision::Bf16)));
}

#[test]
fn an_adaptation_changes_what_it_changes_of_a_fresh_load() {
    if !computes() {
        return;
    }
    let lora = || Lora::open(fixture("lora/diffusers.safetensors"), 0.7).unwrap();
    let mut editor = load(model(), Precision::Int8);
    let plain = pixels(&editor);
    editor.set_loras([lora()]).unwrap();
    let adapted = model().with_lora(fixture("lora/diffusers.safetensors"), 0.7);
    let fresh = pixels(&load(adapted.unwrap(), Precision::Int8));
    assert_eq!(pixels(&editor), fresh);
    assert_ne!(plain, fresh);
    editor.set_loras([]).unwrap();
    assert_eq!(pixels(&editor), plain);
}

#[test]
fn its_weights_take_less_memory() {
    let options = quick();
    let edit = MemoryEdit::new(Size::new(64, 64), &options);
    let [half, whole] = [Precision::Bf16, Precision::Int8]
        .map(|precision| model().memory(&edit, precision, &device()).unwrap().weights);
    assert!(whole < half, "{whole} and {half}");
}
