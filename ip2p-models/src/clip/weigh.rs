//! Words that count more or less.

use burn::tensor::{FloatDType, Tensor, TensorData};

/// Multiplies the states of a sentence by the weights of its tokens, and brings their mean back to what it was.
///
/// The rule of AUTOMATIC1111's web UI (`EmphasisOriginal` of its `modules/sd_emphasis.py`): each chunk is weighed by itself. ComfyUI and
/// compel have other rules, in which a weight is the way from the empty sentence's states. Where the mean becomes 0, the states
/// stay as they are weighed.
///
/// # Shapes
///
/// - states: `[chunks, tokens, width]`
/// - weights: `chunks * tokens` numbers
/// - output: as `states`
///
/// # Panics
///
/// If there are more or fewer weights than tokens.
#[must_use]
pub fn weigh(states: Tensor<3>, weights: &[f32]) -> Tensor<3> {
    let [chunks, tokens, width] = states.dims();
    assert_eq!(weights.len(), chunks * tokens, "a weight for each token");
    let (device, dtype) = (states.device(), states.dtype());
    let mut values: Vec<f32> = states
        .cast(FloatDType::F32)
        .into_data()
        .try_into_vec()
        .expect("just cast");
    // On the host: the mean of a chunk is what is left of large numbers, and its sum must not depend on the backend.
    for (chunk, weights) in values
        .chunks_exact_mut(tokens * width)
        .zip(weights.chunks_exact(tokens))
    {
        let before = sum(chunk);
        for (state, weight) in chunk.chunks_exact_mut(width).zip(weights) {
            for value in state {
                *value *= weight;
            }
        }
        let after = sum(chunk);
        if after != 0.0 {
            let ratio = narrowed(before / after);
            for value in chunk {
                *value *= ratio;
            }
        }
    }
    let data = TensorData::new(values, [chunks, tokens, width]);
    Tensor::<3>::from_data(data, (&device, burn::tensor::DType::F32)).cast(dtype)
}

fn sum(values: &[f32]) -> f64 {
    values.iter().copied().map(f64::from).sum()
}

#[expect(clippy::cast_possible_truncation, reason = "states are f32")]
fn narrowed(ratio: f64) -> f32 {
    ratio as f32
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    fn states(values: [f32; 8]) -> Tensor<3> {
        let data = TensorData::new(values.to_vec(), [2, 2, 2]);
        Tensor::from_data(data, &Device::flex())
    }

    #[test]
    fn each_chunk_keeps_its_mean() {
        let weighed = weigh(
            states([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]),
            &[1.0, 3.0, 1.0, 1.0],
        );
        let values: Vec<f32> = weighed.into_data().try_into_vec().unwrap();
        // 10 became 24.
        let ratio = 10.0_f32 / 24.0;
        let expected = [1.0, 2.0, 9.0, 12.0].map(|value| value * ratio);
        assert_eq!(values[..4], expected);
        assert_eq!(values[4..], [5.0, 6.0, 7.0, 8.0]);
    }

    #[test]
    fn a_mean_of_zero_stays_as_it_is_weighed() {
        let weighed = weigh(
            states([1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]),
            &[1.0, -1.0, 2.0, 2.0],
        );
        let values: Vec<f32> = weighed.into_data().try_into_vec().unwrap();
        assert_eq!(values, [1.0, 1.0, -1.0, -1.0, 0.0, 0.0, 0.0, 0.0]);
    }
}
