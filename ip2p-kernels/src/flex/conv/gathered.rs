//! Convolution of panels, a tile's width of pixels each, whose input is gathered.
//!
//! A task takes some panels and some of the output channels. It gathers a few hundred terms of its panels and multiplies all its channels
//! with them before it goes on to the next terms, so that what it gathers stays in the level-2 cache, and the weights pass through once.

mod bytes;
mod pairs;

use super::Geometry;
use super::panel::Panel;
use crate::flex::Target;
use crate::flex::scratch::Scratch;
use crate::flex::simd::{Kernel, Simd, TILE_VECTORS};
use crate::flex::tile::{
    Factors, Left, Plain, for_tiles, load_row, prefetch_row, store_row, width,
};

/// How many terms are gathered at a time.
const TERMS: usize = 512;

/// Some pixels of some output channels, with weights of type `W`.
pub(super) struct Part<'a, W> {
    pub(super) geometry: &'a Geometry,
    pub(super) input: &'a [f32],
    pub(super) weight: &'a [W],
    /// What 1 stands for in each output channel of weights that are whole numbers.
    pub(super) scales: &'a [f32],
    pub(super) bias: &'a [f32],
    pub(super) target: Target,
    pub(super) first_pixel: usize,
    pub(super) pixels: usize,
    pub(super) first_channel: usize,
    pub(super) channels: usize,
}

impl<W> Part<'_, W> {
    /// Its pixels, a tile's width at a time.
    fn panels<S: Simd>(&self) -> Vec<Panel> {
        let width = width::<S>();
        (0..self.pixels)
            .step_by(width)
            .map(|offset| {
                let first = self.first_pixel + offset;
                Panel::new::<S>(self.geometry, first, width.min(self.pixels - offset))
            })
            .collect()
    }

    /// Fetches the output that products will soon be added to.
    #[inline(always)]
    fn prefetch<S: Simd, const ROWS: usize>(&self, simd: S, panel: &Panel, channel: usize) {
        let plane = self.geometry.plane();
        if let Some(target) = panel.whole(simd, self.geometry, self.target, channel) {
            for row in 0..ROWS {
                prefetch_row(simd, target.wrapping_add(row * plane));
            }
        }
    }

    /// Adds products to `ROWS` output channels of a panel, or to their bias where these are the first.
    ///
    /// # Safety
    ///
    /// The output must have so many channels from `channel` on, and the panel must be this task's alone.
    #[inline(always)]
    unsafe fn add<S: Simd, const ROWS: usize>(
        &self,
        simd: S,
        panel: &Panel,
        channel: usize,
        first: bool,
        products: [[S::Vector; TILE_VECTORS]; ROWS],
    ) {
        let (geometry, target) = (self.geometry, self.target);
        let plane = geometry.plane();
        let whole = panel.whole(simd, geometry, target, channel);
        for (row, mut products) in products.into_iter().enumerate() {
            // SAFETY: the caller's.
            unsafe {
                let before = match (first, whole) {
                    (true, _) => [simd.splat(self.bias[channel + row]); TILE_VECTORS],
                    (false, Some(target)) => load_row(simd, target.add(row * plane)),
                    (false, None) => panel.load(simd, geometry, target, channel + row),
                };
                for (sum, before) in products.iter_mut().zip(before) {
                    *sum = simd.add(*sum, before);
                }
                match whole {
                    Some(target) => store_row(simd, target.add(row * plane), products),
                    None => panel.store(simd, geometry, target, channel + row, products),
                }
            }
        }
    }
}

impl Kernel for Part<'_, f32> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let geometry = self.geometry;
        let width = width::<S>();
        let all_terms = geometry.terms();
        let panels = self.panels::<S>();
        let mut gathered = Scratch::new(panels.len() * TERMS * width);
        for first_term in (0..all_terms).step_by(TERMS) {
            let terms = TERMS.min(all_terms - first_term);
            for (panel, target) in panels.iter().zip(gathered.chunks_exact_mut(TERMS * width)) {
                let target = &mut target[..terms * width];
                panel.gather(simd, geometry, self.input, first_term, target);
            }
            let left = Left {
                start: self.weight[self.first_channel * all_terms + first_term..].as_ptr(),
                row_stride: all_terms,
                term_stride: 1,
            };
            let sums = Sums {
                part: &self,
                panels: &panels,
                gathered: &gathered,
                terms,
                begin: first_term == 0,
            };
            // SAFETY: the weights have `channels` rows from the first channel on, of `terms` terms from the first term on.
            unsafe {
                for_tiles!(S, self.channels, |first| add_products(
                    simd,
                    &sums,
                    left.skip(first),
                    self.first_channel + first,
                ));
            }
        }
    }
}

/// What the products of some terms are added to.
struct Sums<'a> {
    part: &'a Part<'a, f32>,
    panels: &'a [Panel],
    gathered: &'a [f32],
    terms: usize,
    /// Whether these are the first terms, and the sums begin with the bias.
    begin: bool,
}

/// Adds the products of some terms to `ROWS` output channels of each panel.
///
/// # Safety
///
/// `left` must be readable for `ROWS` rows and as many terms; the output must have so many channels from `channel` on.
#[inline(always)]
unsafe fn add_products<S: Simd, const ROWS: usize>(
    simd: S,
    sums: &Sums<'_>,
    left: Left,
    channel: usize,
) {
    let gathered = sums.gathered.chunks_exact(TERMS * width::<S>());
    for (panel, right) in sums.panels.iter().zip(gathered) {
        let factors = Plain {
            left,
            right: right.as_ptr(),
            terms: sums.terms,
        };
        // SAFETY: the caller's; `gather` has filled `terms` rows of each panel, which is this task's alone.
        unsafe { add_product::<S, ROWS>(simd, sums.part, panel, channel, sums.begin, factors) };
    }
}

/// Adds a product to `ROWS` output channels of a panel, or to their bias where it is of the first terms.
///
/// # Safety
///
/// As for [`Factors::multiply`] and [`Part::add`].
#[inline(always)]
unsafe fn add_product<S: Simd, const ROWS: usize>(
    simd: S,
    part: &Part<'_, impl Sized>,
    panel: &Panel,
    channel: usize,
    first: bool,
    factors: impl Factors,
) {
    part.prefetch::<S, ROWS>(simd, panel, channel);
    // SAFETY: the caller's.
    unsafe {
        let zeros = [[simd.splat(0.0); TILE_VECTORS]; ROWS];
        let products = factors.multiply(simd, zeros, &mut ());
        part.add(simd, panel, channel, first, products);
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::bf16;
    use burn::tensor::ops::ConvOptions;

    use super::*;
    use crate::flex::conv::formula::{convolved, number};
    use crate::flex::simd::{assert_sets_agree, dispatch_each, to_byte};

    /// A whole convolution as one task.
    struct Whole<'a, W> {
        geometry: Geometry,
        input: &'a [f32],
        weight: &'a [W],
    }

    impl<W> Kernel for Whole<'_, W>
    where
        for<'b> Part<'b, W>: Kernel,
    {
        type Output = Vec<f32>;

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Vec<f32> {
            let (pixels, channels) = (self.geometry.pixels(), self.geometry.channels_out);
            let mut output = vec![f32::NAN; pixels * channels];
            let part = Part {
                geometry: &self.geometry,
                input: self.input,
                weight: self.weight,
                scales: &[0.02; 13],
                bias: &[0.5; 13],
                target: Target(output.as_mut_ptr()),
                first_pixel: 0,
                pixels,
                first_channel: 0,
                channels,
            };
            part.run(simd);
            output
        }
    }

    fn assert_sets_agree_on<W>(stride: usize, padding: (usize, usize), of: impl Fn(f32) -> W)
    where
        for<'b> Part<'b, W>: Kernel,
    {
        // More terms than are gathered at a time, pictures of fewer pixels than a panel, a rest of channels.
        let options = ConvOptions::new_with_padding([stride; 2], [padding; 2], [1, 1], 1);
        let geometry = Geometry::new([3, 60, 7, 5], [13, 60, 3, 3], &options);
        let numbers: Vec<f32> = (0_u16..10_000)
            .map(|index| (f32::from(index) * 0.7).sin())
            .collect();
        let weight: Vec<W> = numbers[..13 * 60 * 9].iter().map(|x| of(*x)).collect();
        let input = &numbers[..3 * 60 * 7 * 5];
        let whole = || Whole {
            geometry,
            input,
            weight: &weight,
        };
        assert_sets_agree(whole, 1e-3);
    }

    #[test]
    fn instruction_sets_agree() {
        assert_sets_agree_on(1, (1, 1), |x| x);
        assert_sets_agree_on(2, (0, 1), |x| x);
    }

    #[test]
    fn instruction_sets_agree_on_weights_of_bf16() {
        assert_sets_agree_on(1, (1, 1), bf16::from_f32);
        assert_sets_agree_on(2, (0, 1), bf16::from_f32);
    }

    #[test]
    fn kernels_of_one_pixel_in_bytes_are_their_formula_with_every_instruction_set() {
        // More terms than are gathered at a time, pictures of fewer pixels than a panel, a rest of channels.
        let geometry = Geometry::new(
            [3, 600, 7, 5],
            [13, 600, 1, 1],
            &ConvOptions::new([1; 2], [0; 2], [1; 2], 1),
        );
        let input: Vec<f32> = (0..3 * 600 * 35).map(number).collect();
        let weight: Vec<i8> = (0..13 * 600)
            .map(|i| to_byte(127.0 * number(3 * i)))
            .collect();
        let exact: Vec<f32> = weight.iter().map(|byte| 0.02 * f32::from(*byte)).collect();
        let expected = convolved(&geometry, &input, &exact, &[0.5; 13]);
        let largest = expected.iter().copied().fold(0.0, f64::max);
        let whole = || Whole {
            geometry,
            input: &input,
            weight: &weight,
        };
        for (set, found) in dispatch_each(whole) {
            for (found, expected) in found.iter().zip(&expected) {
                let difference = (f64::from(*found) - expected).abs();
                assert!(
                    difference < 0.01 * largest,
                    "{set}: {found}, not {expected}"
                );
            }
        }
    }
}
