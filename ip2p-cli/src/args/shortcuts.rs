//! The options that make an edit faster and another one.

use clap::Args;
use ip2p::{EditOptions, GuidanceInterval};

use crate::edit::take_some;

/// What an edit may do without, each at the price of another picture.
#[derive(Debug, Args)]
pub(crate) struct ShortCutArgs {
    /// Take the short cuts whose picture stays nearest for the time that they save: 10 steps of dpmpp-2m, --deep-cache 2 and --guidance-interval 0..0.6; of these, what is given by itself wins. A model that makes 10 steps or fewer is left as it is
    #[arg(long)]
    pub(crate) fast: bool,

    /// Run the whole U-Net at every Nth step only, and its outer layers at those between [default: 1, each step]
    #[arg(long, value_name = "N")]
    pub(crate) deep_cache: Option<usize>,

    /// Guide in this part of the steps only, 0..0.6 in the first six of ten, and take the branch with sentence and photo alone in the others [default: 0..1, all of them]
    #[arg(long, value_name = "A..B")]
    pub(crate) guidance_interval: Option<GuidanceInterval>,

    /// End a picture's guidance once its predictions with the sentence and without are as alike, by their cosine: above 0 and at most 1 [default: never]
    #[arg(long, value_name = "COSINE")]
    pub(crate) adaptive_guidance: Option<f64>,
}

impl ShortCutArgs {
    /// Puts what the command line says over the options.
    pub(crate) fn apply(&self, options: &mut EditOptions) {
        take_some!(
            options,
            self,
            deep_cache,
            guidance_interval,
            adaptive_guidance
        );
        options.fast |= self.fast;
    }
}
