//! What a device can do at best.

use std::time::{Duration, Instant};

use burn::backend::ExecutionError;
use burn::tensor::{Device, Distribution, FloatDType, Tensor};

use crate::linear;

/// How long a product should take, so that beginning and ending it is little of that.
const LONG: Duration = Duration::from_millis(40);
/// The widest matrices that are tried.
const WIDEST: usize = 8192;
/// How often the product is made that is counted.
const TIMES: usize = 5;

/// The operations a second that a device makes in a product of two square matrices, weights of this type: the best of five.
///
/// A multiplication and an addition are two operations. The networks' own products do not come above it by more than the
/// noise of the measurement, so that what they reach is told as a share of it.
///
/// # Errors
///
/// If the device fails to compute.
pub fn measured_peak(device: &Device, dtype: FloatDType) -> Result<f64, ExecutionError> {
    let mut width = 512;
    loop {
        let square = |dtype| {
            let x = Tensor::<2>::random([width; 2], Distribution::Normal(0.0, 1.0), device);
            x.cast(dtype)
        };
        let weight = square(dtype);
        let x = square(FloatDType::F32).cast(crate::compute_dtype(&weight));
        let product = || {
            device.sync()?;
            let started = Instant::now();
            let y = linear(x.clone(), weight.clone(), None);
            device.sync()?;
            drop(y);
            Ok(started.elapsed())
        };
        product()?; // Whatever a device prepares for a shape that it has not seen.
        if product()? < LONG && width < WIDEST {
            width *= 2;
            continue;
        }
        let mut best = product()?;
        for _ in 1..TIMES {
            best = best.min(product()?);
        }
        let operations = 2.0 * (width as f64).powi(3);
        return Ok(operations / best.as_secs_f64());
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;

    #[test]
    fn a_processor_makes_more_than_a_hundred_million_operations_a_second() {
        let peak = measured_peak(&Device::flex(), FloatDType::F32).unwrap();
        assert!(peak.is_finite() && peak > 1e8, "{peak}");
    }
}
