//! The loss and its gradients against PyTorch: `tests/golden/gen_train.py`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use burn::tensor::{Device, Int, Tensor, TensorData};
use ip2p::Precision;
use ip2p::core::{CheckpointProfile, PredictionType};
use ip2p::io::{Checkpoint, Component};
use ip2p::models::clip::CLIPTextConfig;
use ip2p::models::unet::UNet2DConditionConfig;
use ip2p::sched::NoiseSchedule;
use ip2p_testing::{Golden, fixture};
use ip2p_train::edit::{EditBatch, EditDraws, EditLoss, EditNetworks, Sentences};
use ip2p_train::objective::{Kept, LossWeight};
use ip2p_train::parameters;

fn networks(device: &Device) -> EditNetworks {
    let checkpoint = Checkpoint::open(fixture("tiny-taesd")).unwrap();
    let config = |component| checkpoint.config(component);
    let unet = UNet2DConditionConfig::from_json(config(Component::Unet)).unwrap();
    let text = CLIPTextConfig::from_json(config(Component::TextEncoder)).unwrap();
    let (unet, text) = (unet.init(device), text.init(device));
    let precision = Precision::F32;
    let (unet, _) = checkpoint
        .load(unet, Component::Unet, precision, &mut |_| ())
        .unwrap();
    let (text_encoder, _) = checkpoint
        .load(text, Component::TextEncoder, precision, &mut |_| ())
        .unwrap();
    EditNetworks {
        unet,
        text_encoder,
        mask_head: None,
    }
}

fn ids(golden: &Golden, name: &str, device: &Device) -> Tensor<2, Int> {
    let ids = golden.ints(name);
    let shape = [ids.len() / 77, 77];
    Tensor::from_data(TensorData::new(ids, shape), device)
}

fn draws(golden: &Golden) -> EditDraws {
    let text = golden.ints("keeps_text");
    let image = golden.ints("keeps_image");
    let timesteps = golden.ints("timesteps").into_iter();
    EditDraws {
        timesteps: timesteps.map(|t| usize::try_from(t).unwrap()).collect(),
        kept: text
            .into_iter()
            .zip(image)
            .map(|(text, image)| Kept {
                text: text == 1,
                image: image == 1,
            })
            .collect(),
        noise: golden.floats("noise"),
    }
}

/// Compares with what PyTorch computed for one kind of prediction.
fn check(name: &str, prediction: PredictionType) {
    let mut golden = Golden::open(&format!("train/{name}"));
    let device = Device::flex().autodiff();
    let latents: Tensor<4> = golden.tensor("latents", &device);
    let [count, _, height, width] = latents.dims();
    let batch = EditBatch {
        image_latents: golden.tensor("image_latents", &device),
        latents,
        mask: Tensor::ones([count, 1, height, width], &device),
        sentences: Sentences::Ids {
            each: ids(&golden, "ids", &device),
            empty: ids(&golden, "null_ids", &device),
        },
    };
    let loss = EditLoss {
        prediction,
        weight: LossWeight::MinSnr(golden.text("gamma").parse().unwrap()),
        ..EditLoss::default()
    };
    let schedule = NoiseSchedule::new(&CheckpointProfile::default()).unwrap();
    let networks = networks(&device);
    let found = loss.loss(&networks, &schedule, &batch, &draws(&golden));
    golden.check_floats("loss", &[found.clone().into_scalar()]);

    let gradients = parameters::gradients(&networks, &mut found.backward());
    let mut compared = 0;
    let names = golden.names();
    for (path, gradient) in gradients {
        if !names.contains(&path) {
            continue;
        }
        let shape = golden.shape(&path);
        // burn keeps the matrix of a linear layer the other way round.
        let is_linear = shape.len() == 2 && !path.contains("embeddings");
        let gradient: Tensor<1> = if is_linear {
            let matrix: Tensor<2> = gradient.reshape([shape[1], shape[0]]);
            matrix.swap_dims(0, 1).flatten(0, 1)
        } else {
            gradient
        };
        let numbers = gradient.into_data();
        let numbers = numbers.as_slice::<f32>().unwrap();
        golden.check_floats(&path, numbers);
        // Gradients are small: to 1e-4 of the largest, too.
        let expected = golden.floats(&path);
        let largest = expected.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        let errors = numbers.iter().zip(&expected).map(|(a, b)| (a - b).abs());
        let error = errors.fold(0.0, f32::max) / largest;
        println!("{error:.1e} of the largest, {largest:.1e}: {path}");
        assert!(error < 1e-4, "{path}: {error} of {largest}");
        compared += 1;
    }
    assert_eq!(compared, 14, "every gradient of the fixture is compared");
    golden.finish();
}

#[test]
fn epsilon_loss_and_gradients_equal_those_of_pytorch() {
    check("epsilon", PredictionType::Epsilon);
}

#[test]
fn velocity_loss_and_gradients_equal_those_of_pytorch() {
    check("v_prediction", PredictionType::VPrediction);
}

#[test]
fn sample_loss_and_gradients_equal_those_of_pytorch() {
    check("sample", PredictionType::Sample);
}
