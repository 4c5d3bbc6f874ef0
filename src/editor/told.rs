//! What the network was told of the branches of an edit, in the form that its layers take.

use ip2p_core::{Branch, PlannedBranch};
use ip2p_models::unet::{Conditioning, UNet2DConditionModel};

use super::network::Conditions;

/// What was computed for branches that ran together, for the steps in which they do so again.
#[derive(Debug)]
pub(crate) struct Told {
    /// Those of the steps of the edit.
    timesteps: Vec<f64>,
    of: Vec<(Vec<Branch>, Conditioning)>,
}

impl Told {
    /// Nothing yet, of an edit whose steps are at these timesteps.
    pub(super) fn new(timesteps: Vec<f64>) -> Self {
        Self {
            timesteps,
            of: Vec::new(),
        }
    }

    /// Forgets what was computed.
    pub(super) fn clear(&mut self) {
        self.of.clear();
    }

    /// What the network is told of these branches as one batch.
    pub(super) fn of(
        &mut self,
        plan: &[PlannedBranch],
        conditions: &Conditions,
        unet: &UNet2DConditionModel,
    ) -> &Conditioning {
        let branches = || plan.iter().map(|planned| planned.branch);
        let known = (self.of.iter()).position(|(known, _)| known.iter().copied().eq(branches()));
        let known = known.unwrap_or_else(|| {
            let added = conditions.added(plan);
            let conditioning = unet
                .condition(conditions.contexts(plan), added.as_ref())
                .with_source(unet, conditions.sources(plan))
                .with_timesteps(unet, &self.timesteps);
            self.of.push((branches().collect(), conditioning));
            self.of.len() - 1
        });
        &self.of[known].1
    }
}
