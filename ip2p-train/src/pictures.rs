//! Pictures in the forms that data, networks and the editor have them in.

use burn::tensor::{Device, Tensor, TensorData};
use image::RgbImage;
use ip2p::core::Size;
use ip2p::{Photo, Result, RgbPicture};

/// A picture as the editor takes it.
///
/// # Errors
///
/// [`Error::InvalidSetting`](ip2p::Error::InvalidSetting) if it has no pixels.
pub fn to_photo(picture: &RgbImage) -> Result<Photo> {
    let size = Size {
        width: picture.width(),
        height: picture.height(),
    };
    Ok(RgbPicture::new(size, picture.as_raw().clone())?.into())
}

/// What the editor gives, as a picture.
///
/// # Panics
///
/// Never: a photo has as many bytes as pixels.
#[must_use]
pub fn from_photo(photo: &Photo) -> RgbImage {
    let Size { width, height } = photo.size();
    let pixels = photo.rgb().pixels().to_vec();
    RgbImage::from_raw(width, height, pixels).expect("as many bytes as pixels")
}

/// Pictures of one size as `[batch, 3, height, width]`, values in `[-1, 1]`.
///
/// # Panics
///
/// If they differ in size.
pub fn to_tensor<'a>(pictures: impl Iterator<Item = &'a RgbImage>, device: &Device) -> Tensor<4> {
    let mut numbers = Vec::new();
    let (mut count, mut size) = (0, (0, 0));
    for picture in pictures {
        assert!(
            count == 0 || size == picture.dimensions(),
            "pictures of a batch have one size"
        );
        size = picture.dimensions();
        count += 1;
        for channel in 0..3 {
            let bytes = picture.as_raw().iter().skip(channel).step_by(3);
            numbers.extend(bytes.map(|&byte| f32::from(byte) / 127.5 - 1.0));
        }
    }
    let shape = [count, 3, size.1 as usize, size.0 as usize];
    Tensor::from_data(TensorData::new(numbers, shape), device)
}

/// Pictures from `[batch, 3, height, width]`; values beyond `[-1, 1]` are clamped.
///
/// # Panics
///
/// If there are not three channels.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to 0 to 255"
)]
pub fn to_pictures(tensor: Tensor<4>) -> Vec<RgbImage> {
    let [count, channels, height, width] = tensor.dims();
    assert_eq!(channels, 3, "pictures have three channels");
    let data = tensor.into_data();
    let numbers = data.as_slice::<f32>().expect("pictures are f32");
    let plane = height * width;
    (0..count)
        .map(|i| {
            let picture = &numbers[i * 3 * plane..(i + 1) * 3 * plane];
            RgbImage::from_fn(width as u32, height as u32, |x, y| {
                let at = y as usize * width + x as usize;
                image::Rgb([0, 1, 2].map(|c| {
                    ((picture[c * plane + at] * 0.5 + 0.5).clamp(0.0, 1.0) * 255.0).round() as u8
                }))
            })
        })
        .collect()
}
