//! Convolution with weights of `bf16`, summed up in `f32`: two terms at a time.
//!
//! What a task gathers of a panel at a time fits the level-1 cache, so the panels come first here and the channels after them:
//! their weights, half as large as in `f32`, come from the level-2 cache.

use burn::tensor::bf16;

use super::panel::Panel;
use super::{Part, TILE_VECTORS};
use crate::flex::simd::{Kernel, Simd};
use crate::flex::tile::{LeftPairs, Scratch, for_tiles, multiply_pairs, width};

/// How many terms are gathered at a time: 24 KB of a panel with 512-bit vectors.
const TERMS: usize = 256;

impl Kernel for Part<'_, bf16> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let geometry = self.geometry;
        let width = width::<S>();
        let all_terms = geometry.terms();
        let panels = self.panels::<S>();
        let mut gathered = Scratch::<u32>::new(TERMS / 2 * width);
        for first_term in (0..all_terms).step_by(TERMS) {
            let pairs = TERMS.min(all_terms - first_term) / 2;
            let weight = &self.weight[self.first_channel * all_terms + first_term..];
            let left = LeftPairs {
                start: weight.as_ptr().cast(),
                row_stride: all_terms,
                pair_stride: 2,
            };
            for panel in &panels {
                let target = &mut gathered[..pairs * width];
                panel.gather_pairs(simd, geometry, self.input, first_term, target);
                let sums = Sums {
                    part: &self,
                    panel,
                    gathered: &gathered,
                    pairs,
                    begin: first_term == 0,
                };
                // SAFETY: the weights have `channels` rows from the first channel on, of as many terms from the first term on.
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
}

/// What the products of some terms are added to.
struct Sums<'a> {
    part: &'a Part<'a, bf16>,
    panel: &'a Panel,
    gathered: &'a [u32],
    pairs: usize,
    /// Whether these are the first terms, and the sums begin with the bias.
    begin: bool,
}

/// Adds the products of some terms to `ROWS` output channels of a panel.
///
/// # Safety
///
/// `left` must be readable for `ROWS` rows and as many pairs; the output must have so many channels from `channel` on.
#[inline(always)]
unsafe fn add_products<S: Simd, const ROWS: usize>(
    simd: S,
    sums: &Sums<'_>,
    left: LeftPairs,
    channel: usize,
) {
    sums.part.prefetch::<S, ROWS>(simd, sums.panel, channel);
    let right = sums.gathered.as_ptr();
    // SAFETY: the caller's; `gather_pairs` has filled as many rows of the panel, which is this task's alone.
    unsafe {
        let products =
            multiply_pairs::<S, ROWS, TILE_VECTORS>(simd, left, right, width::<S>(), sums.pairs);
        (sums.part).add(simd, sums.panel, channel, sums.begin, products);
    }
}
