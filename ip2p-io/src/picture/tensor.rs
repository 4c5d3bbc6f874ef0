//! Pictures as tensors: the one place where bytes become numbers in `[-1, 1]`, and come back.

use burn::tensor::{Device, Tensor, TensorData};
use ip2p_core::{Error, Result, Size};

use super::rgb::{CHANNELS, RgbPicture};

/// How numbers in `[-1, 1]` become bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Rounding {
    /// To the nearest byte, as diffusers does (`image_processor.py`, `VaeImageProcessor.numpy_to_pil`).
    #[default]
    Nearest,
    /// To the byte below, as the original repository does: `edit_cli.py:121-123` at `0dffd1e`.
    Truncate,
}

impl Rounding {
    /// The byte of a number in `[-1, 1]`; others are clamped.
    ///
    /// In `f32` and in the order of the tool that rounds so, for the last digit decides.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to 0 to 255"
    )]
    #[expect(clippy::manual_midpoint, reason = "a midpoint is computed in f64")]
    fn byte(self, value: f32) -> u8 {
        match self {
            Self::Nearest => ((value * 0.5 + 0.5).clamp(0.0, 1.0) * 255.0).round_ties_even() as u8,
            Self::Truncate => (((value + 1.0) / 2.0).clamp(0.0, 1.0) * 255.0) as u8,
        }
    }
}

/// A picture as the model takes it: `2 · byte / 255 - 1`, in `f32`.
///
/// The original repository and diffusers compute it in another order, to the same digit.
///
/// # Shapes
///
/// - output: `[1, 3, height, width]`, in `[-1, 1]`
#[must_use]
pub fn to_tensor(picture: &RgbPicture, device: &Device) -> Tensor<4> {
    let Size { width, height } = picture.size();
    let (width, height) = (width as usize, height as usize);
    let number = |byte: u8| 2.0 * (f32::from(byte) / 255.0) - 1.0;
    let mut planes = Vec::with_capacity(CHANNELS * height * width);
    for channel in 0..CHANNELS {
        let bytes = picture.pixels().iter().skip(channel).step_by(CHANNELS);
        planes.extend(bytes.map(|&byte| number(byte)));
    }
    Tensor::from_data(
        TensorData::new(planes, [1, CHANNELS, height, width]),
        device,
    )
}

/// A picture from what the model gives, in `[-1, 1]`; numbers beyond are clamped.
///
/// # Shapes
///
/// - `tensor`: `[1, 3, height, width]`
///
/// # Errors
///
/// [`Error::InvalidSetting`] if a number is NaN, or the tensor is empty.
///
/// # Panics
///
/// If the tensor is not of one picture of three channels.
pub fn from_tensor(tensor: Tensor<4>, rounding: Rounding) -> Result<RgbPicture> {
    let [batch, channels, height, width] = tensor.dims();
    assert_eq!(
        [batch, channels],
        [1, CHANNELS],
        "one picture of three channels"
    );
    let side = |side: usize| u32::try_from(side).expect("a picture's side is less than 2^32");
    let size = Size::new(side(width), side(height));
    let values = tensor.into_data().convert::<f32>();
    let values = values.as_slice::<f32>().expect("just converted");
    if values.iter().any(|value| value.is_nan()) {
        return Err(Error::setting("picture", "made of numbers", "NaN"));
    }
    let mut pixels = vec![0; values.len()];
    for (channel, plane) in values.chunks_exact((height * width).max(1)).enumerate() {
        let bytes = pixels.iter_mut().skip(channel).step_by(CHANNELS);
        for (byte, &value) in bytes.zip(plane) {
            *byte = rounding.byte(value);
        }
    }
    RgbPicture::new(size, pixels)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use proptest::prelude::*;

    use super::*;

    fn tensor(values: [f32; 3]) -> Tensor<4> {
        Tensor::from_data(
            TensorData::new(values.to_vec(), [1, 3, 1, 1]),
            &Device::flex(),
        )
    }

    #[test]
    fn every_byte_comes_back() {
        let pixels: Vec<u8> = (0..=255)
            .flat_map(|byte| [byte, 255 - byte, byte])
            .collect();
        let picture = RgbPicture::new(Size::new(16, 16), pixels).unwrap();
        let there = to_tensor(&picture, &Device::flex());
        assert_eq!(from_tensor(there, Rounding::Nearest).unwrap(), picture);
    }

    #[test]
    fn numbers_beyond_the_range_are_clamped() {
        for rounding in [Rounding::Nearest, Rounding::Truncate] {
            let values = tensor([-1.5, 7.0, f32::INFINITY]);
            assert_eq!(
                from_tensor(values, rounding).unwrap().pixels(),
                [0, 255, 255]
            );
        }
    }

    #[test]
    fn the_original_truncates_and_diffusers_rounds() {
        // 127.75, 128.5 (to even) and 254.9 of 255.
        let values = [127.75_f32, 128.5, 254.9].map(|level| level / 127.5 - 1.0);
        let bytes = |rounding| from_tensor(tensor(values), rounding).unwrap().into_pixels();
        assert_eq!(bytes(Rounding::Nearest), [128, 128, 255]);
        assert_eq!(bytes(Rounding::Truncate), [127, 128, 254]);
    }

    #[test]
    fn a_picture_of_nan_is_an_error() {
        assert!(from_tensor(tensor([0.0, f32::NAN, 0.0]), Rounding::Nearest).is_err());
    }

    proptest! {
        #[test]
        fn pictures_come_back_from_tensors(width in 1..20_u32, height in 1..20_u32, seed: u32) {
            let bytes = 0..width * height * 3;
            let pixels = bytes.map(|i| (i.wrapping_add(seed).wrapping_mul(2_654_435_761) >> 24) as u8);
            let picture = RgbPicture::new(Size::new(width, height), pixels.collect()).unwrap();
            let there = to_tensor(&picture, &Device::flex());
            prop_assert_eq!(there.dims(), [1, 3, height as usize, width as usize]);
            prop_assert_eq!(from_tensor(there, Rounding::Nearest).unwrap(), picture);
        }
    }
}
