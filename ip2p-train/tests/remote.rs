//! Trainings on the devices of other machines: burn's own server on loopback, with flex behind it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::ops::ControlFlow;
use std::path::Path;

use burn::server::{RemoteServer, WebSocketTransport};
use burn::tensor::Device;
use ip2p::device_by_name;
use ip2p_data::scene::Scenes;
use ip2p_testing::fixture;
use ip2p_train::run::{EditRun, EditTraining};
use ip2p_train::{StepReport, parameters};

/// Serves flex on a port of its own until the process ends; the name of the device.
fn lent() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = RemoteServer::new([Device::flex()]);
    std::thread::spawn(move || server.serve(WebSocketTransport::from_listener(listener)));
    format!("remote:127.0.0.1:{port}")
}

/// Two steps of two batches each.
fn run(output: &Path) -> EditRun {
    let text = serde_json::json!({
        "model": fixture("tiny-taesd"),
        "output": output,
        "batch": 2,
        "seed": 3,
        "pool": {"shard": 4, "shards": 2, "stride": 4, "size": 32},
        "loss": {"prediction": "v_prediction"},
        "trainer": {"steps": 2, "learning_rate": {"peak": 1e-3}, "accumulate": 2},
        "samples": 0,
    });
    serde_json::from_value(text).unwrap()
}

/// The reports and the averaged weights of a training on these devices.
fn trained(devices: &[Device]) -> (Vec<StepReport>, BTreeMap<String, Vec<f32>>) {
    let folder = tempfile::tempdir().unwrap();
    let mut training = EditTraining::open(run(folder.path()), &devices[0])
        .unwrap()
        .with_devices(&devices[1..])
        .unwrap();
    let mut reports = Vec::new();
    training
        .train(&Scenes::new(5), &mut |report| {
            reports.push(*report);
            ControlFlow::Continue(())
        })
        .unwrap();
    assert!(folder.path().join("model/unet").is_dir());
    let weights = parameters::values(&training.averaged())
        .into_iter()
        .map(|(name, value)| (name, value.into_data().try_into_vec::<f32>().unwrap()));
    (reports, weights.collect())
}

#[test]
fn a_training_on_another_machine_has_the_losses_and_gradients_of_one_here() {
    let remote = device_by_name(&lent()).unwrap();
    let (here, _) = trained(&[Device::flex()]);
    let (there, _) = trained(&[remote]);
    assert_eq!((here.len(), there.len()), (2, 2));
    // The operators have other bodies there. The second step is one after an update, whose first is of the rate and not of the
    // gradient: where that is near 0 they may part.
    for ((here, there), most) in here.iter().zip(&there).zip([1e-4, 1e-2]) {
        let near = |a: f64, b: f64| (a - b).abs() <= most * a.abs();
        assert!(near(here.loss, there.loss), "{here:?} {there:?}");
        assert!(near(here.grad_norm, there.grad_norm), "{here:?} {there:?}");
    }
}

#[test]
fn two_machines_share_the_batches_and_come_to_the_weights_of_one() {
    let [one, other] = [lent(), lent()].map(|name| device_by_name(&name).unwrap());
    assert_ne!(one, other);
    let alone = trained(std::slice::from_ref(&one));
    assert_eq!(alone, trained(&[one, other]));
}

#[test]
fn a_step_with_fewer_batches_than_devices_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let training = EditTraining::open(run(folder.path()), &Device::flex()).unwrap();
    let devices = [Device::flex(), Device::flex()];
    let error = training.with_devices(&devices).unwrap_err();
    assert!(error.to_string().contains("trainer.accumulate"), "{error}");
}

#[test]
fn a_machine_that_does_not_answer_is_an_error_that_names_it() {
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    for name in [
        &format!("remote:{free}"),
        "remote:nowhere",
        "remote:a:b",
        "remote:a:1/x",
    ] {
        let error = device_by_name(name).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
    }
}
