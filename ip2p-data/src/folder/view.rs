//! How a record's pictures are seen: resized, cropped and mirrored alike.

use image::RgbImage;
use image::imageops::{FilterType, crop_imm, flip_horizontal_in_place, resize};
use ip2p_core::Size;
use rand::{Rng, RngExt};

use super::Record;
use crate::{Example, names_a_side};

/// How far the shapes of two pictures may differ, in parts of the aspect: generators round sides down to multiples of 8.
const TOLERANCE: f64 = 0.02;

/// How the pictures of a record are cropped and mirrored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum View {
    /// Cropped at random and perhaps mirrored, otherwise in each epoch.
    Training(Flips),
    /// Cropped in the middle and never mirrored, the same in each epoch; of several pairs the first.
    Evaluation,
}

/// Which records are mirrored half of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Flips {
    /// Those whose sentence means the same in the mirror: the default. It must not name a side (left, right, clockwise) nor
    /// speak of writing (text, letters, a word in quotation marks), which would be learnt in mirror writing.
    #[default]
    WhereSafe,
    /// None: for data sets with writing or other things that have a handedness in the pictures themselves.
    Never,
}

impl View {
    /// Random crops, mirrored where it is safe.
    pub const TRAINING: Self = Self::Training(Flips::WhereSafe);

    /// Which of a record's pairs is looked at.
    pub(super) fn pick(self, rng: &mut impl Rng) -> u64 {
        match self {
            Self::Training(_) => rng.next_u64(),
            Self::Evaluation => 0,
        }
    }

    /// The record at this size.
    pub(super) fn see(self, record: Record, size: Size, rng: &mut impl Rng) -> Example {
        let covering = covering(record.input.dimensions(), size);
        let slack = (covering.width - size.width, covering.height - size.height);
        let ((x, y), mirrored) = match self {
            Self::Evaluation => ((slack.0 / 2, slack.1 / 2), false),
            Self::Training(flips) => {
                let place = (rng.random_range(0..=slack.0), rng.random_range(0..=slack.1));
                // Drawn in any case, so that what follows does not depend on the sentence.
                let half = rng.random_bool(0.5);
                (
                    place,
                    half && flips == Flips::WhereSafe && may_be_mirrored(&record.instruction),
                )
            }
        };
        let see = |picture| {
            let resized = resized(picture, covering);
            let mut seen = crop_imm(&resized, x, y, size.width, size.height).to_image();
            if mirrored {
                flip_horizontal_in_place(&mut seen);
            }
            seen
        };
        Example {
            input: see(record.input),
            edited: see(record.edited),
            instruction: record.instruction,
            edits: Vec::new(),
            mask: None,
        }
    }
}

/// Refuses pictures of two shapes, since one could not be laid over the other.
pub(super) fn check_shapes(input: (u32, u32), edited: (u32, u32)) -> Result<(), String> {
    let [width, height, edited_width, edited_height] =
        [input.0, input.1, edited.0, edited.1].map(f64::from);
    let aspects = (width * edited_height) / (height * edited_width);
    // One pixel of the smaller picture, of which a side may have been rounded.
    let pixel = 1.0 / width.min(height).min(edited_width).min(edited_height);
    if aspects.ln().abs() <= TOLERANCE.max(pixel) {
        return Ok(());
    }
    Err(format!(
        "the pictures have two shapes: the input is {}x{}, the edited {}x{}",
        input.0, input.1, edited.0, edited.1
    ))
}

/// The least size of this shape that covers `size`, to within rounding.
fn covering((width, height): (u32, u32), size: Size) -> Size {
    let scaled = |side: u32, to: u32, from: u32| {
        let (side, to, from) = (u64::from(side), u64::from(to), u64::from(from));
        u32::try_from((side * to + from / 2) / from).expect("at most eight times a bucket's side")
    };
    if u64::from(width) * u64::from(size.height) >= u64::from(height) * u64::from(size.width) {
        Size::new(
            scaled(width, size.height, height).max(size.width),
            size.height,
        )
    } else {
        Size::new(
            size.width,
            scaled(height, size.width, width).max(size.height),
        )
    }
}

/// The picture at this size, by Lanczos' window of three lobes, as the original trainer does.
fn resized(picture: RgbImage, size: Size) -> RgbImage {
    if picture.dimensions() == (size.width, size.height) {
        return picture;
    }
    resize(&picture, size.width, size.height, FilterType::Lanczos3)
}

/// Whether a sentence means the same in the mirror.
fn may_be_mirrored(instruction: &str) -> bool {
    /// What words begin with that name a side.
    const SIDES: [&str; 5] = [
        "left",
        "right",
        "clockwise",
        "anticlockwise",
        "counterclockwise",
    ];
    /// Words that speak of writing.
    const WRITING: [&str; 18] = [
        "text",
        "texts",
        "word",
        "words",
        "letter",
        "letters",
        "lettering",
        "write",
        "writes",
        "writing",
        "written",
        "say",
        "says",
        "read",
        "reads",
        "caption",
        "title",
        "logo",
    ];
    let quoted = instruction.contains(['"', '“', '”', '«', '»']);
    let lower = instruction.to_lowercase();
    let mut words = lower.split(|c: char| !c.is_alphanumeric());
    let tells =
        |word: &str| SIDES.iter().any(|side| word.starts_with(side)) || WRITING.contains(&word);
    !quoted && !names_a_side(instruction) && !words.any(tells)
}

#[cfg(test)]
mod tests {
    use image::Rgb;
    use proptest::prelude::*;

    use super::*;
    use crate::folder::testing::gradient;
    use crate::rng;

    /// A record whose edited picture is its input, so that both must be seen as the same.
    fn record(width: u32, height: u32, instruction: &str) -> Record {
        let input = gradient(width, height);
        Record {
            name: "a record".to_owned(),
            edited: input.clone(),
            input,
            instruction: instruction.to_owned(),
        }
    }

    /// Whether red, which grows from the left in [`gradient`], falls.
    fn is_mirrored(picture: &RgbImage) -> bool {
        picture.get_pixel(0, 0).0[0] > picture.get_pixel(picture.width() - 1, 0).0[0]
    }

    #[test]
    fn half_of_the_records_are_mirrored_and_none_whose_sentence_names_a_side() {
        let mirrored = |view: View, sentence: &str| {
            let seen = |index| {
                view.see(
                    record(96, 64, sentence),
                    Size::new(64, 64),
                    &mut rng(3, index),
                )
                .input
            };
            (0..200).filter(|&index| is_mirrored(&seen(index))).count()
        };
        let half = mirrored(View::TRAINING, "make it snowy");
        assert!((70..=130).contains(&half), "{half} of 200");
        for sentence in [
            "remove the Left ball",
            "the rightmost house",
            "turn it clockwise",
            "make the sign say hello",
            "write “hello”",
        ] {
            assert_eq!(mirrored(View::TRAINING, sentence), 0, "{sentence}");
        }
        assert_eq!(mirrored(View::Training(Flips::Never), "make it snowy"), 0);
        assert_eq!(mirrored(View::Evaluation, "make it snowy"), 0);
    }

    #[test]
    fn words_that_only_look_like_sides_do_not_keep_from_mirroring() {
        for sentence in [
            "make it brighter",
            "add a cleft",
            "make it a swordfish",
            "in the context of winter",
        ] {
            assert!(may_be_mirrored(sentence), "{sentence}");
        }
    }

    #[test]
    fn evaluation_sees_the_middle() {
        let mut of_one = record(96, 64, "make it snowy");
        of_one.edited = resize(&of_one.input, 192, 128, FilterType::Nearest);
        let seen = View::Evaluation.see(of_one.clone(), Size::new(64, 64), &mut rng(0, 0));
        let middle = crop_imm(&of_one.input, 16, 0, 64, 64).to_image();
        assert_eq!(seen.input, middle);
        // The edited picture in twice the resolution shows the same place.
        let near =
            |(a, b): (&Rgb<u8>, &Rgb<u8>)| a.0.iter().zip(b.0).all(|(a, b)| a.abs_diff(b) <= 4);
        assert!(seen.edited.pixels().zip(middle.pixels()).all(near));
    }

    #[test]
    fn shapes_may_differ_by_rounding_alone() {
        for edited in [(512, 384), (1024, 765), (1000, 750), (4, 3), (13, 10)] {
            assert!(check_shapes((1000, 747), edited).is_ok(), "{edited:?}");
        }
        for edited in [(747, 1000), (512, 512), (1000, 700)] {
            let error = check_shapes((1000, 747), edited).expect_err("another shape");
            assert!(
                error.contains("1000x747") && error.contains(&format!("{}x{}", edited.0, edited.1))
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn both_pictures_are_seen_alike_at_the_size_asked_for(
            width in 8u32..200, height in 8u32..200, across in 1u32..5, down in 1u32..5, index: u64, training: bool,
        ) {
            prop_assume!(width.max(height) <= 8 * width.min(height));
            let size = Size::new(16 * across, 16 * down);
            let view = if training { View::TRAINING } else { View::Evaluation };
            let see = || view.see(record(width, height, "make it snowy"), size, &mut rng(1, index));
            let seen = see();
            prop_assert_eq!(seen.input.dimensions(), (size.width, size.height));
            prop_assert_eq!(&seen.input, &seen.edited);
            prop_assert_eq!(&seen, &see());
        }

        #[test]
        fn covering_covers_with_one_side_exact(width in 1u32..3000, height in 1u32..3000, across in 1u32..20, down in 1u32..20) {
            prop_assume!(width.max(height) <= 8 * width.min(height));
            let size = Size::new(64 * across, 64 * down);
            let cover = covering((width, height), size);
            prop_assert!(cover.width >= size.width && cover.height >= size.height);
            prop_assert!(cover.width == size.width || cover.height == size.height);
        }
    }
}
