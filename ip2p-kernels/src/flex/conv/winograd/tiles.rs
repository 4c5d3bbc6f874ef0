//! How the tiles of pictures are put into blocks.

use super::Geometry;
use crate::flex::conv::cut::Cut;
use crate::flex::simd::MAX_LANES;

/// The most tiles of a block and the most side by side: two panels of the widest vectors.
const BLOCK: usize = 96;
const COLUMNS: usize = 32;

/// How the tiles of the output pictures are put into blocks.
pub(super) struct Tiles {
    pub(super) cut: Cut,
    /// The tiles of a block, up to whole vectors.
    pub(super) pitch: usize,
}

impl Tiles {
    pub(super) fn new(geometry: &Geometry) -> Self {
        let grid = geometry.output.map(|side| side.div_ceil(2));
        let [height, width] = grid;
        let columns = width.div_ceil(width.div_ceil(COLUMNS));
        let rows = (BLOCK / columns).clamp(1, height);
        let rows = height.div_ceil(height.div_ceil(rows));
        Self {
            cut: Cut {
                picture: grid,
                most: [rows, columns],
            },
            pitch: (rows * columns).next_multiple_of(MAX_LANES),
        }
    }

    /// Numbers from a row of what a block sees to the next: a whole vector may begin at the last tile, and what the tile sees then lies
    /// up to two numbers further.
    pub(super) fn line(&self) -> usize {
        self.cut.most[1].next_multiple_of(MAX_LANES) + MAX_LANES
    }
}
