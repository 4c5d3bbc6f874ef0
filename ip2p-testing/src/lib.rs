//! What the tests of the ip2p crates share: the device they run on, and golden fixtures.
//!
//! A fixture is a safetensors file under `tests/golden/fixtures`, written by `tests/golden/make.py` from the reference
//! libraries. It holds the inputs, what the reference made of them, and in its metadata how near is near enough and
//! why. One set of fixtures serves every backend: `IP2P_TEST_DEVICE` names the one to run on.

mod golden;

use std::path::{Path, PathBuf};

use burn::tensor::Device;

pub use golden::Golden;

/// The device that the tests run on: `IP2P_TEST_DEVICE`, default `flex`.
///
/// # Panics
///
/// If the variable names a device that this build does not have.
#[must_use]
pub fn device() -> Device {
    match device_name().as_str() {
        #[cfg(feature = "flex")]
        "flex" => Device::flex(),
        #[cfg(feature = "wgpu")]
        "wgpu" => Device::wgpu(burn::tensor::DeviceKind::DefaultDevice),
        #[cfg(feature = "vulkan")]
        "vulkan" => Device::vulkan(burn::tensor::DeviceKind::DefaultDevice),
        other => panic!("IP2P_TEST_DEVICE={other}: this build has no such device"),
    }
}

fn device_name() -> String {
    std::env::var("IP2P_TEST_DEVICE").unwrap_or_else(|_| "flex".into())
}

/// The path of a file or folder under `tests/golden/fixtures`.
#[must_use]
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/golden/fixtures")
        .join(name)
}
