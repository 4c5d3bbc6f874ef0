//! What the tests of whole edits share: the tiny checkpoint, whose random weights change everything that they may, a photo, and
//! options that take no time.

#![allow(dead_code, reason = "no test uses all of it")]

use ip2p::region::Mask;
use ip2p::{EditOptions, Editor, Photo, RgbPicture, Size, TargetSize};
use ip2p_testing::{device, fixture};

pub(crate) fn editor() -> Editor {
    Editor::load(fixture("tiny-ip2p"), &device()).unwrap()
}

/// A photo of `width` by `height` pixels with something to see on it.
pub(crate) fn photo(width: u32, height: u32) -> Photo {
    let byte = |i: u32| u8::try_from((i * 7 + i / width * 3) % 256).unwrap();
    let pixels = (0..width * height * 3).map(byte).collect();
    RgbPicture::new(Size::new(width, height), pixels)
        .unwrap()
        .into()
}

/// Two steps on a small picture.
pub(crate) fn quick() -> EditOptions {
    EditOptions::default()
        .with_steps(2)
        .with_size(TargetSize::Side(64))
        .with_seed(5)
}

/// How many bytes differ where the mask has anything of the edit; none may elsewhere.
pub(crate) fn changed_inside(edited: &Photo, photo: &Photo, mask: &Mask) -> usize {
    let pairs = edited.rgb().pixels().iter().zip(photo.rgb().pixels());
    let mut inside = 0;
    for (at, (edited, original)) in pairs.enumerate() {
        if mask.weights()[at / 3] == 0 {
            assert_eq!(edited, original, "byte {at} outside the mask");
        } else {
            inside += usize::from(edited != original);
        }
    }
    inside
}
