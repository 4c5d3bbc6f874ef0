//! The arguments that say where a photo may change.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use ip2p::Size;
use ip2p::core::Region;

/// Where the photo may change. Outside a mask every byte of the result is the photo's.
#[derive(Debug, Args)]
pub(crate) struct MaskArgs {
    /// Change the photo only where this picture is white, or opaque; several add up.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) mask: Vec<PathBuf>,

    /// Change the photo only in this rectangle, in pixels from the top left; several add up, also with --mask.
    #[arg(long, value_name = "X,Y,W,H", value_parser = region)]
    pub(crate) mask_box: Vec<Region>,

    /// Change the photo only where --mask and --mask-box would have kept it.
    #[arg(long)]
    pub(crate) mask_invert: bool,

    /// Soften the edges of --mask and --mask-box over so many pixels to each side [default: 0, hard]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(crate) mask_feather: u32,
}

/// To see where the photo could change.
#[derive(Debug, Args)]
pub(crate) struct ShowMaskArgs {
    /// Write into this picture where the photo could change, white on black: --mask reads it.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) save_mask: Option<PathBuf>,

    /// Write the photo into this picture, dark where it could not change.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) show_mask: Option<PathBuf>,
}

/// A rectangle: `X,Y,W,H`.
fn region(text: &str) -> Result<Region, String> {
    let numbers: Result<Vec<u32>, _> = text.split(',').map(|part| part.trim().parse()).collect();
    match numbers.as_deref() {
        Ok(&[x, y, width, height]) if width > 0 && height > 0 => Ok(Region {
            x,
            y,
            size: Size::new(width, height),
        }),
        _ => Err("four whole numbers were expected: X,Y,W,H, the width and height above 0".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_is_four_numbers() {
        let expected = Region {
            x: 1,
            y: 2,
            size: Size::new(30, 40),
        };
        assert_eq!(region("1, 2,30,40"), Ok(expected));
        for text in ["", "1,2,3", "1,2,0,4", "1,2,3,-4", "1,2,3,4,5", "a,b,c,d"] {
            assert!(region(text).is_err(), "{text}");
        }
    }
}
