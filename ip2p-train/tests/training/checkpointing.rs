//! Gradients that are computed with less held meanwhile.

use burn::tensor::Device;

use crate::{run, train, weights};

#[test]
fn gradient_checkpointing_comes_to_the_same_weights() {
    let (held, again) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let expected = train(run(held.path(), 6, 8), 6);
    let mut run = run(again.path(), 6, 8);
    run.gradient_checkpointing = true;
    let found = train(run, 6);
    let strategy = |training: &ip2p_train::run::EditTraining| {
        let devices = burn::module::Module::devices(training.networks());
        let strategies = devices.iter().map(Device::gradient_checkpointing_strategy);
        strategies.collect::<Vec<_>>()
    };
    assert_ne!(strategy(&expected), strategy(&found));
    assert_eq!(weights(&expected), weights(&found));
}
