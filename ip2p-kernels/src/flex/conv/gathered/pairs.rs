//! Convolution with weights of `bf16`, summed up in `f32`: two terms at a time.
//!
//! What a task gathers of a panel at a time fits the level-1 cache, so the panels come first here and the channels after them:
//! their weights, half as large as in `f32`, come from the level-2 cache.

use burn::tensor::bf16;

use super::{Part, add_product};
use crate::flex::scratch::Scratch;
use crate::flex::simd::{Kernel, Simd};
use crate::flex::tile::{Factors, LeftPairs, Paired, for_tiles, width};

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
                term_stride: 2,
            };
            for panel in &panels {
                let target = &mut gathered[..pairs * width];
                panel.gather_pairs(simd, geometry, self.input, first_term, target);
                let factors = Paired {
                    left,
                    right: gathered.as_ptr(),
                    pairs,
                };
                // SAFETY: the weights have `channels` rows from the first channel on, of as many terms from the first term on;
                // `gather_pairs` has filled as many rows of the panel, which is this task's alone.
                unsafe {
                    for_tiles!(S, self.channels, |first| add_product(
                        simd,
                        &self,
                        panel,
                        self.first_channel + first,
                        first_term == 0,
                        factors.skip(first),
                    ));
                }
            }
        }
    }
}
