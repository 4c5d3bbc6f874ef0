//! What is added of a custom model's weights, and which models it can be added to.

use burn::tensor::Device;

use super::*;

/// A checkpoint whose U-Net takes so many channels, with numbers that begin at `start`.
fn model(channels: usize, start: u16) -> Folder {
    let folder = Folder::new();
    let mut unet = Tensors::default();
    unet.add("conv_in.weight", &[2, channels, 1, 1], start);
    unet.add("out.weight", &[3], 2 * start);
    folder.save(UNET, &unet);
    let mut text = Tensors::default();
    text.add("text_model.norm.weight", &[2], start);
    folder.save(TEXT_ENCODER, &text);
    folder
}

fn merge(own: &Folder, custom: &Folder, base: &Folder, strength: f64) -> Result<Checkpoint> {
    let open = |folder: &Folder| Checkpoint::open(folder.path()).unwrap();
    open(own).with_transplant(&open(custom), &open(base), strength)
}

fn read(checkpoint: &Checkpoint, component: Component, name: &str) -> Vec<f32> {
    let weights = checkpoint.weights(component, Precision::F32).unwrap();
    weights.read(name, &Device::flex()).unwrap()
}

#[test]
fn the_channels_that_a_base_lacks_stay_as_they_are() {
    let (own, custom, base) = (model(8, 0), model(4, 30), model(4, 10));
    let merged = merge(&own, &custom, &base, 0.5).unwrap();
    // Half of 30 - 10 on the latents' channels of each output.
    let expected: Vec<f32> = (0_u8..16)
        .map(|i| f32::from(i) + if i % 8 < 4 { 10.0 } else { 0.0 })
        .collect();
    assert_eq!(read(&merged, Component::Unet, "conv_in.weight"), expected);
    assert_eq!(
        read(&merged, Component::Unet, "out.weight"),
        [20.0, 21.0, 22.0]
    );
    assert_eq!(
        read(&merged, Component::TextEncoder, "norm.weight"),
        [10.0, 11.0]
    );
}

#[test]
fn models_of_other_layers_are_refused_with_a_list() {
    let own = model(8, 0);
    let message_of = |change: &dyn Fn(&mut Tensors)| {
        let other = model(8, 0);
        let mut unet = Tensors::default();
        unet.add("conv_in.weight", &[2, 8, 1, 1], 0);
        unet.add("out.weight", &[3], 0);
        change(&mut unet);
        other.save(UNET, &unet);
        message(merge(&own, &other, &own, 1.0))
    };
    for (change, words) in [
        (
            &(|unet: &mut Tensors| unet.rename("out.weight", "in.weight")) as &dyn Fn(&mut Tensors),
            "1 missing: out.weight; 1 unused: in.weight",
        ),
        (
            &|unet: &mut Tensors| unet.add("out.weight", &[4], 0),
            "out.weight ([4] instead of [3])",
        ),
        (
            &|unet: &mut Tensors| unet.add("conv_in.weight", &[2, 5, 1, 1], 0),
            "conv_in.weight ([2, 5, 1, 1] instead of [2, 8, 1, 1])",
        ),
    ] {
        let found = message_of(change);
        assert!(found.contains(words), "{found}");
    }
    // A base must be of the custom model's shapes, or its difference means nothing.
    let found = message(merge(&own, &model(4, 0), &own, 1.0));
    assert!(found.contains("conv_in.weight"), "{found}");
}
