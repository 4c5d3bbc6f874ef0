//! Pictures of one size, cut into rectangles.

/// How pictures are cut, in pixels or in tiles of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    /// Rows and columns of a picture.
    pub(super) picture: [usize; 2],
    /// The most rows and columns of a rectangle.
    pub(super) most: [usize; 2],
}

/// Where a rectangle lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rectangle {
    /// In which picture.
    pub(super) picture: usize,
    /// Its first row and column.
    pub(super) origin: [usize; 2],
    /// Rows and columns.
    pub(super) size: [usize; 2],
}

impl Cut {
    /// How many rectangles a picture has in each direction.
    fn grid(&self) -> [usize; 2] {
        std::array::from_fn(|axis| self.picture[axis].div_ceil(self.most[axis]))
    }

    /// How many rectangles so many pictures have.
    pub(super) fn count(&self, pictures: usize) -> usize {
        let [rows, columns] = self.grid();
        pictures * rows * columns
    }

    /// One of those of all pictures.
    pub(super) fn rectangle(&self, index: usize) -> Rectangle {
        let [rows, columns] = self.grid();
        let (picture, cell) = (index / (rows * columns), index % (rows * columns));
        let origin = [cell / columns * self.most[0], cell % columns * self.most[1]];
        Rectangle {
            picture,
            origin,
            size: std::array::from_fn(|axis| {
                self.most[axis].min(self.picture[axis] - origin[axis])
            }),
        }
    }
}
