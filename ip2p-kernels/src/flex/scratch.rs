//! Memory that vectors are read from and written to.

/// Zeros that begin at a cache line, so that no vector of them lies across two.
pub(crate) struct Scratch<T = f32> {
    lines: Vec<Line<T>>,
    length: usize,
}

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line<T>([T; 16]);

impl<T: Copy + Default> Scratch<T> {
    /// `length` zeros.
    pub(crate) fn new(length: usize) -> Self {
        const { assert!(size_of::<Line<T>>() == 16 * size_of::<T>()) };
        let lines = vec![Line([T::default(); 16]); length.div_ceil(16)];
        Self { lines, length }
    }
}

impl<T> std::ops::Deref for Scratch<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: the lines are so many numbers, one after the other, with no room between the lines.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.length) }
    }
}

impl<T> std::ops::DerefMut for Scratch<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.length) }
    }
}
