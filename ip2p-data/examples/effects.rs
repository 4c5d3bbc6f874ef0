//! Draws every effect on pictures, one row each, and prints how far the unchanged picture is from each target.
//!
//! `cargo run --release -p ip2p-data --example effects -- sheet.png 160 photo.jpg scene.png …`
//!
//! The number is the side of a picture on the sheet; effects are computed at 256×256 and timed.

use std::time::Instant;

use image::imageops::{FilterType, crop_imm, replace, resize};
use image::{RgbImage, open};
use ip2p_data::effect::{Effect, apply};
use ip2p_data::measure::psnr;

const SIDE: u32 = 256;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let sheet_path = arguments
        .next()
        .ok_or("the first argument is the sheet to write")?;
    let shown: u32 = arguments
        .next()
        .ok_or("the second is the side of a picture")?
        .parse()?;
    let pictures: Vec<String> = arguments.collect();
    let rows = u32::try_from(pictures.len())?;
    let mut sheet = RgbImage::new(shown * 13, shown * rows);
    let mut totals = [(0.0, 0.0); 12];
    for (row, path) in (0..).zip(&pictures) {
        let picture = square(&open(path)?.into_rgb8());
        let mut place = |picture: &RgbImage, column: u32| {
            let small = resize(picture, shown, shown, FilterType::Triangle);
            replace(
                &mut sheet,
                &small,
                (column * shown).into(),
                (row * shown).into(),
            );
        };
        place(&picture, 0);
        for (column, effect) in (1..).zip(Effect::ALL) {
            let total = &mut totals[column as usize - 1];
            let start = Instant::now();
            let edited = apply(&picture, effect);
            total.0 += start.elapsed().as_secs_f64() * 1e3;
            total.1 += psnr(&picture, &edited, None).expect("a picture has pixels");
            place(&edited, column);
        }
    }
    sheet.save(sheet_path)?;
    let count = pictures.len() as f64;
    for (effect, (ms, psnr)) in Effect::ALL.iter().zip(totals) {
        println!(
            "{:16}{:6.1} dB{:8.2} ms",
            effect.family().name(),
            psnr / count,
            ms / count
        );
    }
    Ok(())
}

/// The middle of a picture, 256 pixels wide and high.
fn square(picture: &RgbImage) -> RgbImage {
    let (width, height) = picture.dimensions();
    let side = width.min(height);
    let middle = crop_imm(picture, (width - side) / 2, (height - side) / 2, side, side).to_image();
    resize(&middle, SIDE, SIDE, FilterType::Lanczos3)
}
