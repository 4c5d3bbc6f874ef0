//! The U-Net under guidance, as the denoiser that samplers ask.

use burn::tensor::{DType, FloatDType, Tensor};
use ip2p_core::{Branch, Error, Guidance, PlannedBranch, Result, Size};
use ip2p_models::unet::{AddedConditions, DeepFeatures, TokenAttention, UNet2DConditionModel};
use ip2p_sched::{Denoiser, Preconditioning, Schedule, guide};

use super::locate::Locator;
use super::masked::Masked;
use super::scope::Scope;
use super::shortcuts::ShortCuts;
use super::text::TextStates;
use super::told::Told;
use crate::options::BranchExecution;

/// What the network is told of each image of a batch, with and without the sentence, and of the photo.
#[derive(Debug, Clone)]
pub(crate) struct Conditions {
    /// The sentences: `[batch, tokens, width]`.
    pub(crate) context: Tensor<3>,
    /// The empty sentence or the negative one, for each image: `[batch, tokens, width]`.
    pub(crate) uncond_context: Tensor<3>,
    /// What goes with the time, if the network takes that.
    pub(crate) added: Option<Added>,
    /// The photos: `[batch, channels, height, width]` of the latents.
    pub(crate) image_latents: Tensor<4>,
    /// Where the photos may change, if not everywhere.
    pub(crate) masked: Option<Masked>,
}

/// What Stable Diffusion XL is told beside the time: the pooled states of the sentences, and the pictures' size.
#[derive(Debug, Clone)]
pub(crate) struct Added {
    /// `[batch, width]`.
    pooled: Tensor<2>,
    uncond_pooled: Tensor<2>,
    /// `[batch, 6]`.
    time_ids: Tensor<2>,
}

impl Added {
    /// For pictures of this size, if there are pooled states.
    ///
    /// As `StableDiffusionXLInstructPix2PixPipeline` makes it where nothing else is asked for: the photo is said to be of the
    /// model's own size and whole.
    pub(crate) fn new(cond: &TextStates, uncond: &TextStates, size: Size) -> Option<Self> {
        let (pooled, uncond_pooled) = (cond.pooled.clone()?, uncond.pooled.clone()?);
        let [height, width] = [size.height as f32, size.width as f32];
        let ids = [height, width, 0.0, 0.0, height, width];
        let device = pooled.device();
        let time_ids = Tensor::<1>::from_floats(ids, &device).cast(FloatDType::F32);
        let [batch, _] = pooled.dims();
        Some(Self {
            pooled,
            uncond_pooled,
            time_ids: time_ids.unsqueeze::<2>().repeat_dim(0, batch),
        })
    }
}

impl Conditions {
    /// What the network is told beside the time in these branches, one after the other.
    pub(super) fn added(&self, plan: &[PlannedBranch]) -> Option<AddedConditions> {
        let added = self.added.as_ref()?;
        let pooled = plan.iter().map(|planned| {
            if planned.branch.has_text() {
                added.pooled.clone()
            } else {
                added.uncond_pooled.clone()
            }
        });
        Some(AddedConditions {
            text_embeds: Tensor::cat(pooled.collect(), 0),
            time_ids: added.time_ids.clone().repeat_dim(0, plan.len()),
        })
    }

    /// What holds the rest, of conditions that were prepared to seek where the sentences act.
    pub(super) fn sought(&self) -> &Masked {
        let masked = self.masked.as_ref();
        masked.expect("where something is sought there is what holds the rest")
    }

    /// The sentences of these branches, one after the other.
    pub(super) fn contexts(&self, plan: &[PlannedBranch]) -> Tensor<3> {
        let context = |planned: &PlannedBranch| {
            if planned.branch.has_text() {
                self.context.clone()
            } else {
                self.uncond_context.clone()
            }
        };
        Tensor::cat(plan.iter().map(context).collect(), 0)
    }

    /// The photos' latents in these branches, or zeros: the null image is zero *in latent space*, not an encoded black
    /// picture.
    pub(super) fn sources(&self, plan: &[PlannedBranch]) -> Tensor<4> {
        let source = |planned: &PlannedBranch| {
            if planned.branch.has_image() {
                self.image_latents.clone()
            } else {
                self.image_latents.zeros_like()
            }
        };
        Tensor::cat(plan.iter().map(source).collect(), 0)
    }
}

/// The U-Net with its conditions and its guidance.
#[derive(Debug)]
pub(crate) struct GuidedNetwork<'a> {
    pub(crate) unet: &'a UNet2DConditionModel,
    pub(crate) conditions: &'a Conditions,
    /// What it was told of them.
    pub(crate) told: &'a mut Told,
    pub(crate) guidance: &'a Guidance,
    pub(crate) schedule: &'a Schedule,
    pub(crate) preconditioning: Preconditioning,
    pub(crate) execution: BranchExecution,
    /// The type that the network computes in.
    pub(crate) dtype: FloatDType,
    /// The step that is being made, counted from 0: scales may change from step to step.
    pub(crate) step: usize,
    /// What looks where the sentence acts, if anything does.
    pub(crate) locator: Option<&'a mut Locator>,
    /// What makes maps of the scales, if anything does.
    pub(crate) scope: Option<&'a mut Scope>,
    /// What need not be evaluated.
    pub(crate) short_cuts: &'a mut ShortCuts,
}

/// How the U-Net is run.
enum Pass<'a> {
    /// All of it.
    Whole,
    /// With a look at what the pictures attend to.
    Attended(&'a mut TokenAttention),
    /// So that the deep features are kept.
    Keeping(&'a mut Option<DeepFeatures>),
    /// With the deep features of another pass.
    Shallow(&'a DeepFeatures),
}

impl Denoiser for GuidedNetwork<'_> {
    fn denoise(&mut self, x: Tensor<4>, sigma: f64) -> Result<Tensor<4>> {
        let plan = match &self.scope {
            Some(_) => Scope::plan(self.guidance, self.step),
            None => self.short_cuts.plan(self.guidance.plan(self.step)),
        };
        let scaled = (x.clone() * self.preconditioning.c_in(sigma)).cast(self.dtype);
        let mut look = (self.scope.as_deref_mut()).and_then(|scope| scope.look(self.step));
        let together = match self.execution {
            BranchExecution::Batched => plan.len(),
            BranchExecution::OneByOne => 1,
        };
        let mut outputs = Vec::with_capacity(plan.len());
        for (part, planned) in plan.chunks(together).enumerate() {
            // The branch with the sentence is the first.
            let look = look.as_mut().filter(|_| part == 0);
            let (deep, mut kept) = (self.short_cuts.features(planned), None);
            let pass = match (look, &deep) {
                (Some(look), _) => Pass::Attended(look),
                (None, Some(deep)) => Pass::Shallow(deep),
                (None, None) if self.short_cuts.keeps() => Pass::Keeping(&mut kept),
                (None, None) => Pass::Whole,
            };
            outputs.extend(self.run(planned, &scaled, sigma, pass)?);
            if let Some(kept) = kept {
                self.short_cuts.keep(planned, &kept);
            }
        }
        self.short_cuts.see(&outputs);
        let guided = match self.scope.as_deref_mut() {
            Some(scope) => {
                if let Some(seen) = look {
                    scope.see(seen);
                }
                scope.guide(&outputs, self.guidance, self.step)
            }
            None => (self.short_cuts).guided(guide(&outputs, self.guidance), &outputs),
        };
        let denoised = self.preconditioning.denoised(x, guided, sigma)?;
        let Some(masked) = &self.conditions.masked else {
            return Ok(denoised);
        };
        let Some(locator) = self.locator.as_deref_mut() else {
            return Ok(masked.hold(denoised, None));
        };
        locator.see(&match of_the_sentence(&outputs) {
            Some(output) => change(self.preconditioning, output, sigma)?,
            None => masked.change(&denoised),
        });
        Ok(masked.hold(denoised, locator.weights()))
    }
}

/// What a change of the network's output changes in its word on the result, where the noisy latents are the same.
fn change(preconditioning: Preconditioning, output: Tensor<4>, sigma: f64) -> Result<Tensor<4>> {
    preconditioning.denoised(output.zeros_like(), output, sigma)
}

/// What the sentence changes in what the network returns, if it was asked with the sentence and without.
fn of_the_sentence(outputs: &[(PlannedBranch, Tensor<4>)]) -> Option<Tensor<4>> {
    let of = |branch| {
        let mut outputs = outputs.iter();
        let found = outputs.find(|(planned, _)| planned.branch == branch);
        found.map(|(_, output)| output.clone().cast(FloatDType::F32))
    };
    Some(of(Branch::TextAndImage)? - of(Branch::Image)?)
}

impl GuidedNetwork<'_> {
    /// What the sentence changes in the network's word on the result, where the noisy latents are `x`.
    pub(crate) fn relevance(&mut self, x: &Tensor<4>, sigma: f64) -> Result<Tensor<4>> {
        let planned = |branch| PlannedBranch {
            branch,
            weight: 0.0,
        };
        let scaled = (x.clone() * self.preconditioning.c_in(sigma)).cast(self.dtype);
        let branches = [Branch::TextAndImage, Branch::Image].map(planned);
        let outputs = self.run(&branches, &scaled, sigma, Pass::Whole)?;
        let output = of_the_sentence(&outputs).expect("both were asked");
        change(self.preconditioning, output, sigma)
    }

    /// Runs these branches as one batch: all images under the first, then all under the second, as the original does.
    fn run(
        &mut self,
        plan: &[PlannedBranch],
        scaled: &Tensor<4>,
        sigma: f64,
        pass: Pass<'_>,
    ) -> Result<Vec<(PlannedBranch, Tensor<4>)>> {
        let (unet, time) = (self.unet, self.schedule.timestep(sigma));
        let (x, told) = (scaled.clone(), self.told.of(plan, self.conditions, unet));
        let output = match pass {
            Pass::Whole => unet.forward_conditioned(x, time, told),
            Pass::Attended(look) => unet.forward_attended(x, time, told, look),
            Pass::Keeping(kept) => {
                let (output, deep) = unet.forward_keeping(x, time, told);
                *kept = Some(deep);
                output
            }
            Pass::Shallow(deep) => unet.forward_shallow(x, time, told, deep),
        };
        if !is_finite(&output) {
            return Err(self.not_finite(plan, scaled, time));
        }
        Ok(plan
            .iter()
            .copied()
            .zip(output.chunk(plan.len(), 0))
            .collect())
    }

    /// The error that names the layer whose numbers ran away.
    fn not_finite(&self, plan: &[PlannedBranch], scaled: &Tensor<4>, time: f64) -> Error {
        let conditions = self.conditions;
        let x = scaled.clone().repeat_dim(0, plan.len());
        // The photo's latents are joined after `c_in`: the noise level is none of theirs.
        let input = Tensor::cat(vec![x, conditions.sources(plan).cast(self.dtype)], 1);
        let timestep = Tensor::<1>::full([1], time, (&input.device(), DType::F32));
        let (context, added) = (conditions.contexts(plan), conditions.added(plan));
        let layer = (self.unet).first_non_finite(input, timestep, context, added.as_ref());
        Error::NotFinite {
            what: format!("the U-Net's {}", layer.unwrap_or_else(|| "output".into())),
            step: self.step + 1,
            advice: advice(self.dtype),
        }
    }
}

/// Whether every number of a tensor is finite.
pub(crate) fn is_finite<const D: usize>(tensor: &Tensor<D>) -> bool {
    tensor.clone().is_finite().all().into_scalar::<bool>()
}

/// What to try when the numbers ran away.
pub(crate) fn advice(dtype: FloatDType) -> &'static str {
    match dtype {
        FloatDType::F16 => "f16 overflows above 65504: try --precision bf16 or f32",
        FloatDType::F32 => "try lower scales; if it persists the checkpoint is damaged",
        _ => "try --precision f32",
    }
}
