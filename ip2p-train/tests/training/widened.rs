//! Trainings that begin with a checkpoint of Stable Diffusion, whose U-Net takes no picture.

use std::fs;
use std::path::Path;

use burn::tensor::{Device, Distribution, Tensor, Tolerance};
use ip2p::io::{Checkpoint, Component};
use ip2p::models::unet::UNet2DConditionConfig;
use ip2p::{EditOptions, Editor, Photo, Precision};
use ip2p_testing::fixture;
use ip2p_train::run::{EditRun, EditTraining};
use safetensors::tensor::{SafeTensors, TensorView};
use serde_json::{Value, json};

use crate::{copy_checkpoint, run, train};

/// A checkpoint as that of Stable Diffusion 1.5, with the first four channels of the fixture's.
fn text_to_image(folder: &Path) {
    copy_checkpoint(&fixture("tiny-ip2p"), folder);
    edit_json(&folder.join("unet/config.json"), |config| {
        config["in_channels"] = 4.into();
    });
    edit_json(&folder.join("model_index.json"), |index| {
        index["_class_name"] = "StableDiffusionPipeline".into();
        index["safety_checker"] = json!(["stable_diffusion", "StableDiffusionSafetyChecker"]);
        index["requires_safety_checker"] = true.into();
    });
    let checker = folder.join("safety_checker");
    fs::create_dir(&checker).unwrap();
    fs::write(checker.join("config.json"), "{}").unwrap();

    let path = folder.join("unet/diffusion_pytorch_model.safetensors");
    let bytes = fs::read(&path).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let mut narrow = Vec::new();
    let views: Vec<(String, TensorView<'_>)> = tensors.tensors();
    let first = tensors.tensor("conv_in.weight").unwrap();
    let [o, i, h, w] = first.shape().try_into().unwrap();
    let channel = first.data().len() / (o * i);
    for out in first.data().chunks(i * channel) {
        narrow.extend_from_slice(&out[..4 * channel]);
    }
    let narrow = TensorView::new(first.dtype(), vec![o, 4, h, w], &narrow).unwrap();
    let views = views.into_iter().map(|(name, view)| {
        let is_first = name == "conv_in.weight";
        (name, if is_first { narrow.clone() } else { view })
    });
    fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
}

fn edit_json(path: &Path, edit: impl FnOnce(&mut Value)) {
    let mut value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    edit(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

/// A training of it.
fn widened(folder: &Path) -> EditRun {
    let model = folder.join("text-to-image");
    if !model.exists() {
        text_to_image(&model);
    }
    let mut run = run(&folder.join("out"), 5, 8);
    run.loss = serde_json::from_str("{}").unwrap();
    run.train_text_encoder = false;
    EditRun { model, ..run }
}

#[test]
fn a_widened_network_is_at_first_the_one_that_it_was_whatever_the_picture() {
    let folder = tempfile::tempdir().unwrap();
    let run = widened(folder.path());
    let device = Device::flex();
    let checkpoint = Checkpoint::open(&run.model).unwrap();
    let config = UNet2DConditionConfig::from_json(checkpoint.config(Component::Unet)).unwrap();
    assert_eq!(config.in_channels, 4);
    let weights = checkpoint.weights(Component::Unet, Precision::F32).unwrap();
    let (four, _) = weights
        .load(config.init(&device), Precision::F32, &mut |_| ())
        .unwrap();

    let training = EditTraining::open(run, &device).unwrap();
    let eight = training.averaged().unet;
    let random =
        |shape: [usize; 4]| Tensor::<4>::random(shape, Distribution::Normal(0.0, 1.0), &device);
    let (x, image_latents) = (random([2, 4, 8, 8]), random([2, 4, 8, 8]));
    let context = random([2, 1, 77, 32]).reshape([2, 77, 32]);
    let timestep = Tensor::<1>::from_floats([3.0, 700.0], &device);
    let expected = four.forward(x.clone(), timestep.clone(), context.clone());
    let found = eight.forward(Tensor::cat(vec![x, image_latents], 1), timestep, context);
    let near = Tolerance::<f32>::absolute(1e-6);
    found
        .into_data()
        .assert_approx_eq(&expected.to_data(), near);
}

#[test]
fn a_widened_checkpoint_is_written_as_one_of_instruct_pix2pix_that_edits() {
    let folder = tempfile::tempdir().unwrap();
    let run = widened(folder.path());
    let notes = run.notes().unwrap();
    assert!(
        notes.len() == 1 && notes[0].contains("takes 4 channels"),
        "{notes:?}"
    );
    drop(train(run.clone(), 5));

    let model = run.output.join("model");
    let read = |name: &str| -> Value {
        serde_json::from_slice(&fs::read(model.join(name)).unwrap()).unwrap()
    };
    assert_eq!(read("unet/config.json")["in_channels"], 8);
    let index = read("model_index.json");
    assert_eq!(
        index["_class_name"],
        "StableDiffusionInstructPix2PixPipeline"
    );
    assert_eq!(index["safety_checker"], json!([null, null]));
    assert!(!model.join("safety_checker").exists());

    let bytes = fs::read(model.join("unet/diffusion_pytorch_model.fp16.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let first = tensors.tensor("conv_in.weight").unwrap();
    assert_eq!(first.shape(), [16, 8, 3, 3]);
    let of_picture = &first.data()[first.data().len() / 32..first.data().len() / 16];
    assert!(
        of_picture.iter().any(|&byte| byte != 0),
        "the picture is learnt"
    );

    let editor = Editor::load(model, &Device::flex()).unwrap();
    let photo = Photo::open(fixture("../../../examples/photo.jpg")).unwrap();
    let options = EditOptions::default().with_steps(2);
    let edited = editor.edit(&photo, "make it snowy", &options).unwrap();
    assert_eq!(edited.photo.size(), photo.size());
}

#[test]
fn a_low_rank_adaptation_of_it_must_reach_the_new_channels() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = widened(folder.path());
    run.lora = Some(serde_json::from_str("{}").unwrap());
    let error = EditTraining::open(run.clone(), &Device::flex()).unwrap_err();
    assert!(error.to_string().contains("with \"conv_in\""), "{error}");
    run.lora = Some(serde_json::from_str(r#"{"target_modules": ["conv_in", "to_q"]}"#).unwrap());
    EditTraining::open(run, &Device::flex()).unwrap();
}

#[test]
fn an_instruct_pix2pix_checkpoint_has_no_notes() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(run(folder.path(), 5, 8).notes().unwrap(), [""; 0]);
}
