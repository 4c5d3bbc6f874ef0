//! Devices by name, as the command spells them.

use std::time::Duration;

#[cfg(any(
    feature = "wgpu",
    feature = "vulkan",
    feature = "metal",
    feature = "webgpu"
))]
use burn::tensor::DeviceKind;
use burn::tensor::{Device, FloatDType};
use ip2p_core::{Error, Precision, Result};

/// The names of the devices that this build can compute on, by its cargo features.
pub const DEVICES: &[&str] = &[
    #[cfg(feature = "flex")]
    "flex",
    #[cfg(feature = "wgpu")]
    "wgpu",
    #[cfg(feature = "vulkan")]
    "vulkan",
    #[cfg(feature = "metal")]
    "metal",
    #[cfg(feature = "webgpu")]
    "webgpu",
    #[cfg(feature = "cuda")]
    "cuda",
    #[cfg(feature = "rocm")]
    "rocm",
    #[cfg(feature = "remote")]
    "remote:HOST:PORT",
];

/// The device of this name: that of a cargo feature, and after a colon which one of several, counted from 0.
///
/// `flex` is the CPU. Of the devices of wgpu, Vulkan, Metal and WebGPU an index means a discrete GPU; without one the
/// best that there is. The device itself is first used when something is computed on it.
///
/// `remote:HOST:PORT` is the first device that the machine lends which serves there, `remote:HOST:PORT/1` the second. It is connected
/// to at once, over WebSocket, which is unencrypted: for a network that is trusted.
///
/// # Errors
///
/// [`Error::Device`] if the name is unknown or this build does not have it, if the index is no number, or if the other machine
/// does not answer.
///
/// # Examples
///
/// ```
/// let device = ip2p::device_by_name("flex")?;
/// assert!(ip2p::device_by_name("abacus").is_err());
/// # Ok::<(), ip2p::Error>(())
/// ```
pub fn device_by_name(name: &str) -> Result<Device> {
    #[cfg(feature = "remote")]
    if let Some(address) = name.strip_prefix("remote:") {
        return remote(name, address);
    }
    #[cfg(not(feature = "remote"))]
    if name.starts_with("remote:") {
        let reason =
            "devices of other machines are the cargo feature remote, which this build has not";
        return Err(Error::Device {
            device: name.to_owned(),
            reason: reason.into(),
        });
    }
    let (kind, index) = match name.split_once(':') {
        None => (name, None),
        Some((kind, index)) => (kind, Some(parse_index(name, index)?)),
    };
    open(kind, index).ok_or_else(|| Error::Device {
        device: name.to_owned(),
        reason: match DEVICES {
            [] => "this build has no device; enable a cargo feature such as flex or wgpu".into(),
            known => format!(
                "this build has only {}; the others are cargo features",
                known.join(", ")
            ),
        },
    })
}

fn parse_index(name: &str, index: &str) -> Result<usize> {
    index.parse().map_err(|_| Error::Device {
        device: name.to_owned(),
        reason: "the index of a device must be a number, as in wgpu:0".into(),
    })
}

fn open(kind: &str, index: Option<usize>) -> Option<Device> {
    match kind {
        #[cfg(feature = "flex")]
        "flex" => index.is_none_or(|index| index == 0).then(Device::flex),
        #[cfg(feature = "wgpu")]
        "wgpu" => Some(Device::wgpu(gpu(index))),
        #[cfg(feature = "vulkan")]
        "vulkan" => Some(Device::vulkan(gpu(index))),
        #[cfg(feature = "metal")]
        "metal" => Some(Device::metal(gpu(index))),
        #[cfg(feature = "webgpu")]
        "webgpu" => Some(Device::webgpu(gpu(index))),
        #[cfg(feature = "cuda")]
        "cuda" => Some(Device::cuda(index.unwrap_or(0))),
        #[cfg(feature = "rocm")]
        "rocm" => Some(Device::rocm(index.unwrap_or(0))),
        _ => {
            let _ = index;
            None
        }
    }
}

#[cfg(any(
    feature = "wgpu",
    feature = "vulkan",
    feature = "metal",
    feature = "webgpu"
))]
fn gpu(index: Option<usize>) -> DeviceKind {
    index.map_or(DeviceKind::DefaultDevice, DeviceKind::DiscreteGpu)
}

#[cfg(feature = "remote")]
fn remote(name: &str, address: &str) -> Result<Device> {
    let (address, index) = match address.split_once('/') {
        None => (address, 0),
        Some((address, index)) => (address, parse_index(name, index)?),
    };
    crate::remote::connect(address, index).map_err(|reason| Error::Device {
        device: name.to_owned(),
        reason,
    })
}

/// Whether a device is still there: one of another machine is asked, and any other is.
///
/// Nothing is computed. What is computed on a machine that has gone without a word, as by a loss of power, waits for it without
/// end; so whoever cannot wait asks this now and then.
///
/// # Errors
///
/// [`Error::Device`] if the machine does not answer within this time.
pub fn device_answers(name: &str, within: Duration) -> Result<()> {
    #[cfg(feature = "remote")]
    if let Some(address) = name.strip_prefix("remote:") {
        let address = address.split('/').next().unwrap_or(address);
        return crate::remote::answers(address, within).map_err(|error| Error::Device {
            device: name.to_owned(),
            reason: format!("does not answer any more: {error}"),
        });
    }
    let _ = (name, within);
    Ok(())
}

/// The tensor type of a precision: of `int8`, that of what is not made of whole numbers.
#[must_use]
pub fn dtype(precision: Precision) -> FloatDType {
    match precision.of_floats() {
        Precision::F16 => FloatDType::F16,
        Precision::Bf16 => FloatDType::BF16,
        _ => FloatDType::F32,
    }
}

/// Whether the device is the CPU, so that its memory is the process's.
pub(crate) fn is_cpu(device: &Device) -> bool {
    #[cfg(feature = "flex")]
    if *device == Device::flex() {
        return true;
    }
    let _ = device;
    false
}

/// Whether the device computes in this precision.
///
/// # Errors
///
/// [`Error::Device`] that names the precisions that it has.
pub fn check_precision(device: &Device, precision: Precision) -> Result<()> {
    let has = |precision: &Precision| match precision {
        Precision::Int8 => is_cpu(device),
        precision => device.supports_dtype(dtype(*precision)),
    };
    if has(&precision) {
        return Ok(());
    }
    let known: Vec<_> = Precision::ALL
        .into_iter()
        .filter(has)
        .map(Precision::name)
        .collect();
    Err(Error::Device {
        device: format!("{device:?}"),
        reason: format!(
            "does not compute in {precision}; it has {}",
            known.join(", ")
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_device_is_an_error_that_names_the_known_ones() {
        for name in ["", "abacus", "flex:1", "flex:x", ":"] {
            let error = device_by_name(name).unwrap_err().to_string();
            assert!(
                error.contains("flex") || error.contains("number"),
                "{name}: {error}"
            );
        }
    }

    #[test]
    #[cfg(not(feature = "remote"))]
    fn a_device_of_another_machine_asks_for_its_feature() {
        let error = device_by_name("remote:127.0.0.1:3000").unwrap_err();
        assert!(error.to_string().contains("feature remote"), "{error}");
    }
}
