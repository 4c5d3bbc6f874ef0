//! The branches of guidance, mixed into one prediction.

use burn::tensor::{FloatDType, Tensor};
use ip2p_core::{Branch, Guidance, PlannedBranch};

/// Mixes the predictions of the planned branches into one.
///
/// The weights come from [`Guidance::plan`], and sum to 1; so mixing what the network returns is the same as mixing the
/// images that follow from it. The one exception is `rescale`, which is defined on what the network returns: pass that.
/// Lin et al. (2023), <https://arxiv.org/abs/2305.08891>, eq. 15 and 16.
///
/// # Shapes
///
/// - each output: `[batch, 4, height / 8, width / 8]`, in any precision
/// - output: the same shape, in `f32`
///
/// # Panics
///
/// If there is no output, or if `guidance` rescales and the text-and-image branch is not among them.
#[must_use]
pub fn guide(outputs: &[(PlannedBranch, Tensor<4>)], guidance: &Guidance) -> Tensor<4> {
    let float = |output: &Tensor<4>| output.clone().cast(FloatDType::F32);
    let mixed = outputs
        .iter()
        // Only `rescale` reads a branch of weight 0, and 0 · NaN is not 0.
        .filter(|(planned, _)| planned.weight != 0.0)
        .map(|(planned, output)| float(output) * planned.weight)
        .reduce(|sum, output| sum + output)
        .expect("a plan has at least one branch that counts: the weights sum to 1");
    if guidance.rescale == 0.0 {
        return mixed;
    }
    let cond = outputs
        .iter()
        .find(|(planned, _)| planned.branch == Branch::TextAndImage)
        .map(|(_, output)| float(output))
        .expect("a plan that rescales has the text-and-image branch");
    let ratio = std(cond) / std(mixed.clone());
    mixed * (ratio * guidance.rescale + (1.0 - guidance.rescale))
}

/// The standard deviation of each item of the batch, with Bessel's correction: `[batch, 1, 1, 1]`.
fn std(x: Tensor<4>) -> Tensor<4> {
    let [batch, ..] = x.dims();
    x.flatten::<2>(1, 3).var(1).sqrt().reshape([batch, 1, 1, 1])
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution, Tolerance};

    use super::*;

    fn random() -> Tensor<4> {
        Tensor::random(
            [2, 4, 3, 5],
            Distribution::Normal(0.3, 1.0),
            &Device::flex(),
        )
    }

    /// What the branches would return: one tensor each, the same for each plan.
    fn outputs(guidance: &Guidance, of: &[(Branch, Tensor<4>)]) -> Vec<(PlannedBranch, Tensor<4>)> {
        let find = |branch| of.iter().find(|(of, _)| *of == branch).unwrap().1.clone();
        let plan = guidance.plan(0);
        plan.into_iter()
            .map(|planned| (planned, find(planned.branch)))
            .collect()
    }

    fn branches() -> Vec<(Branch, Tensor<4>)> {
        use Branch::{Image, Neither, Text, TextAndImage};
        [TextAndImage, Image, Text, Neither]
            .map(|branch| (branch, random()))
            .into()
    }

    fn assert_equal(actual: Tensor<4>, expected: &Tensor<4>) {
        actual
            .into_data()
            .assert_approx_eq::<f32>(&expected.to_data(), Tolerance::absolute(1e-5));
    }

    #[test]
    fn three_branches_mix_by_the_formula_of_the_paper() {
        let of = branches();
        let [cond, img_cond, uncond] = [0, 1, 3].map(|i| of[i].1.clone());
        let expected = uncond.clone() + (img_cond.clone() - uncond) * 1.5 + (cond - img_cond) * 7.5;
        let guidance = Guidance::new(7.5, 1.5);
        assert_equal(guide(&outputs(&guidance, &of), &guidance), &expected);
    }

    #[test]
    fn scales_of_one_give_cond_and_of_zero_give_uncond() {
        let of = branches();
        for (scale, branch) in [(1.0, 0), (0.0, 3)] {
            let guidance = Guidance::new(scale, scale);
            let planned = outputs(&guidance, &of);
            assert_eq!(planned.len(), 1);
            assert_equal(guide(&planned, &guidance), &of[branch].1);
        }
    }

    #[test]
    fn full_rescale_gives_each_item_the_deviation_of_cond() {
        let of = branches();
        let guidance = Guidance::new(7.5, 1.5).with_rescale(1.0);
        let mixed = guide(&outputs(&guidance, &of), &guidance);
        let expected = std(of[0].1.clone());
        std(mixed)
            .into_data()
            .assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-5));
    }

    #[test]
    fn a_branch_of_weight_zero_does_not_spread_its_nan() {
        let mut of = branches();
        of[0].1 = of[0].1.clone() * f32::NAN;
        let guidance = Guidance::new(0.0, 1.0).with_rescale(0.0);
        let mut planned = outputs(&guidance, &of);
        let weightless = PlannedBranch {
            branch: Branch::TextAndImage,
            weight: 0.0,
        };
        planned.push((weightless, of[0].1.clone()));
        assert_equal(guide(&planned, &guidance), &of[1].1);
    }
}
