//! Contact sheets: pictures before and after side by side, with the sentence below.

#![expect(clippy::cast_possible_truncation, reason = "lines and letters are few")]

use image::imageops::replace;
use image::{Rgb, RgbImage};

use crate::Example;

mod font;

const PAPER: Rgb<u8> = Rgb([250, 249, 246]);
const INK: Rgb<u8> = Rgb([38, 36, 40]);
/// Pixels of the font between the left edges of letters and between the tops of lines.
const ADVANCE: u32 = 6;
const LEADING: u32 = 11;

/// Pictures that stand side by side, with words below them.
#[derive(Debug, Clone, Default)]
pub struct Cell<'a> {
    /// The pictures, from the left; without any the cell is left free.
    pub pictures: Vec<&'a RgbImage>,
    /// The words.
    pub caption: String,
}

/// A sheet of examples, `columns` pairs wide: the picture before at the left, after at the right, the sentence below both.
///
/// The pictures keep their size. A sheet of nothing is one pixel of paper.
///
/// # Panics
///
/// If `columns` is 0.
#[must_use]
pub fn sheet(examples: &[Example], columns: usize) -> RgbImage {
    let cells: Vec<_> = examples
        .iter()
        .map(|example| Cell {
            pictures: vec![&example.input, &example.edited],
            caption: example.instruction.clone(),
        })
        .collect();
    sheet_of(&cells, columns)
}

/// A sheet of cells, `columns` wide, row by row.
///
/// The pictures keep their size, and each stands where it would if all were as large as the largest. A sheet of nothing is
/// one pixel of paper.
///
/// # Panics
///
/// If `columns` is 0.
#[must_use]
pub fn sheet_of(cells: &[Cell<'_>], columns: usize) -> RgbImage {
    assert!(columns > 0, "a sheet has at least one column");
    let size = |side: fn(&RgbImage) -> u32| {
        let pictures = cells.iter().flat_map(|cell| &cell.pictures);
        pictures.map(|picture| side(picture)).max().unwrap_or(0)
    };
    let (width, height) = (size(RgbImage::width), size(RgbImage::height));
    let beside = cells.iter().map(|cell| cell.pictures.len()).max();
    let beside = beside.unwrap_or(0).max(1) as u32;
    let zoom = (width / 128).max(1);
    let gap = 4 * zoom;
    let cell_width = beside * width + (beside - 1) * gap;
    let captions: Vec<Vec<String>> = cells
        .iter()
        .map(|cell| wrap(&cell.caption, (cell_width / (ADVANCE * zoom)) as usize))
        .collect();
    let lines = |row: &[Vec<String>]| row.iter().map(Vec::len).max().unwrap_or(0) as u32;
    let rows: Vec<u32> = captions
        .chunks(columns)
        .map(|row| height + gap + lines(row) * LEADING * zoom + 2 * gap)
        .collect();
    let across = columns.min(cells.len()) as u32;
    let wide = across * (cell_width + 3 * gap) + gap;
    let high = rows.iter().sum::<u32>() + 2 * gap;
    let mut sheet = RgbImage::from_pixel(wide.max(1), high.max(1), PAPER);
    let mut y = 2 * gap;
    let captions = captions.chunks(columns);
    for ((cells, captions), row) in cells.chunks(columns).zip(captions).zip(rows) {
        let mut x = 2 * gap;
        for (cell, caption) in cells.iter().zip(captions) {
            for (index, picture) in cell.pictures.iter().enumerate() {
                let left = x + index as u32 * (width + gap);
                replace(&mut sheet, *picture, left.into(), y.into());
            }
            for (line, text) in caption.iter().enumerate() {
                let top = y + height + gap + line as u32 * LEADING * zoom;
                write(&mut sheet, text, [x, top], zoom);
            }
            x += cell_width + 3 * gap;
        }
        y += row;
    }
    sheet
}

/// Lines of at most `width` letters; a longer word has a line of its own.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Writes a line, its upper left corner at `at`; what reaches out of the sheet is cut off.
fn write(sheet: &mut RgbImage, text: &str, at: [u32; 2], zoom: u32) {
    for (index, letter) in text.chars().enumerate() {
        let left = at[0] + index as u32 * ADVANCE * zoom;
        let top = at[1] + font::drop(letter) * zoom;
        for (row, bits) in font::glyph(letter).into_iter().enumerate() {
            for column in (0..5).filter(|column| bits >> (4 - column) & 1 == 1) {
                for [dx, dy] in (0..zoom).flat_map(|dy| (0..zoom).map(move |dx| [dx, dy])) {
                    let (x, y) = (left + column * zoom + dx, top + row as u32 * zoom + dy);
                    if let Some(pixel) = sheet.get_pixel_mut_checked(x, y) {
                        *pixel = INK;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Phrasing, Source};

    #[test]
    fn lines_are_no_longer_than_asked() {
        let lines = wrap("move the red ball to the top left corner", 12);
        assert_eq!(lines, ["move the red", "ball to the", "top left", "corner"]);
        assert_eq!(wrap("", 12), Vec::<String>::new());
    }

    #[test]
    fn every_letter_of_the_sentences_is_in_the_font() {
        let scenes = crate::scene::Scenes::new(5).with_phrasing(Phrasing::Training);
        let frame = font::glyph('\u{0}');
        for index in 0..40 {
            for letter in scenes.example(index, 16).instruction.chars() {
                assert_ne!(font::glyph(letter), frame, "{letter:?}");
            }
        }
    }

    #[test]
    fn a_sheet_holds_its_pictures_as_they_are() {
        let scenes = crate::scene::Scenes::new(5);
        let examples: Vec<_> = (0..3).map(|index| scenes.example(index, 32)).collect();
        let sheet = sheet(&examples, 2);
        let found = image::imageops::crop_imm(&sheet, 8, 8, 32, 32).to_image();
        assert_eq!(found, examples[0].input);
        assert!(sheet.pixels().any(|pixel| *pixel == INK));
    }
}
