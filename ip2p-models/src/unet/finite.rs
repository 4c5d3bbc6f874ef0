//! Where a pass stops being finite.

use burn::tensor::Tensor;

use super::{AddedConditions, UNet2DConditionModel};
use crate::layers::ops;

impl UNet2DConditionModel {
    /// The first layer in a pass whose output holds a NaN or an infinity, or none.
    ///
    /// For the message after a prediction that is not finite: it runs the pass again and reads every layer's output
    /// back. An input that is not finite itself is named `latents`, `timestep`, `context` or `text_embeds`.
    ///
    /// # Panics
    ///
    /// As [`Self::forward_added`].
    #[must_use]
    pub fn first_non_finite(
        &self,
        x: Tensor<4>,
        timestep: Tensor<1>,
        context: Tensor<3>,
        added: Option<&AddedConditions>,
    ) -> Option<String> {
        let text_embeds = added.is_none_or(|added| ops::is_finite(&added.text_embeds));
        let input = [
            ("latents", ops::is_finite(&x)),
            ("timestep", ops::is_finite(&timestep)),
            ("context", ops::is_finite(&context)),
            ("text_embeds", text_embeds),
        ];
        if let Some((name, _)) = input.iter().find(|(_, finite)| !finite) {
            return Some((*name).to_owned());
        }
        let mut first = None;
        let _ = self.forward_added_observed(x, timestep, context, added, &mut |layer, output| {
            if first.is_none() && !ops::is_finite(output) {
                first = Some(layer.to_string());
            }
        });
        first
    }
}
