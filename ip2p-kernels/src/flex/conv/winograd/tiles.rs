//! How the tiles of pictures are put into blocks.

use super::Geometry;
use super::algorithm::Algorithm;
use super::place::seen;
use crate::flex::conv::cut::{Cut, Rectangle};
use crate::flex::simd::MAX_LANES;

/// The most tiles of a block and the most side by side: two panels of the widest vectors.
const BLOCK: usize = 96;
pub(super) const COLUMNS: usize = 32;

/// How the tiles of the output pictures are put into blocks.
pub(super) struct Tiles {
    cut: Cut,
    pictures: usize,
    /// The tiles that are multiplied together, up to whole vectors.
    pub(super) pitch: usize,
}

impl Tiles {
    /// Those of one block are multiplied together.
    pub(super) fn in_blocks(geometry: &Geometry) -> Self {
        let grid = grid(geometry);
        let [height, width] = grid;
        let columns = width.div_ceil(width.div_ceil(COLUMNS));
        let rows = (BLOCK / columns).clamp(1, height);
        let rows = height.div_ceil(height.div_ceil(rows));
        Self {
            cut: Cut {
                picture: grid,
                most: [rows, columns],
            },
            pictures: geometry.batch,
            pitch: (rows * columns).next_multiple_of(MAX_LANES),
        }
    }

    /// Those of all pictures are multiplied together.
    pub(super) fn at_once(geometry: &Geometry) -> Self {
        Self {
            // A whole vector may begin at the last.
            pitch: (count(geometry) - 1).next_multiple_of(MAX_LANES) + MAX_LANES,
            ..Self::in_blocks(geometry)
        }
    }

    /// How many blocks there are.
    pub(super) fn blocks(&self) -> usize {
        self.cut.count(self.pictures)
    }

    /// Where a block lies.
    pub(super) fn block(&self, index: usize) -> Rectangle {
        self.cut.rectangle(index)
    }

    /// Numbers from a row of what a block sees to the next: a whole vector may begin at the last tile, and what the tile sees then lies
    /// up to two numbers further.
    pub(super) fn line(&self) -> usize {
        self.cut.most[1].next_multiple_of(MAX_LANES) + MAX_LANES
    }

    /// Numbers of all lines: two for each row that a block sees, of its even numbers and of its odd ones, for up to two channels.
    pub(super) fn lines<A: Algorithm>(&self) -> usize {
        2 * 2 * seen::<A>(self.cut.most[0]) * self.line()
    }
}

/// Rows and columns of the tiles of an output picture.
fn grid(geometry: &Geometry) -> [usize; 2] {
    geometry.output.map(|side| side.div_ceil(2))
}

/// How many tiles all output pictures have.
pub(super) fn count(geometry: &Geometry) -> usize {
    geometry.batch * grid(geometry).iter().product::<usize>()
}
