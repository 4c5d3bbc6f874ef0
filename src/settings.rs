//! What an edit's options come to with a checkpoint.

use ip2p_core::{
    Branch, CheckpointProfile, Error, FitPolicy, Guidance, GuidanceFormula, GuidanceInterval,
    Result, SamplerKind, ScaleCurve, TargetSize,
};

use crate::options::EditOptions;

/// How many steps a fast edit makes.
const FAST_STEPS: usize = 10;

/// The options of an edit, with the checkpoint's own where the caller gave none, and checked.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) steps: usize,
    pub(crate) sampler: SamplerKind,
    /// Every such step runs the whole network.
    pub(crate) deep_cache: usize,
    pub(crate) size: TargetSize,
    pub(crate) fit: FitPolicy,
    pub(crate) guidance: Guidance,
    /// Where the rest is, in which a checkpoint has no say.
    pub(crate) options: EditOptions,
}

impl Settings {
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] that names the first setting that makes no sense.
    pub(crate) fn new(options: &EditOptions, profile: &CheckpointProfile) -> Result<Self> {
        let options = &hastened(options, profile);
        // A list of sigmas says itself how many steps there are.
        let steps = options
            .steps
            .or(options.schedule.steps())
            .unwrap_or(profile.steps);
        check_steps(steps, profile)?;
        let scale = |own: &Option<ScaleCurve>, default: f64| match own {
            Some(curve) => curve.schedule(steps),
            None => default.into(),
        };
        let text_scale = scale(&options.text_scale, profile.text_scale);
        let image_scale = scale(&options.image_scale, profile.image_scale);
        let settings = Self {
            steps,
            sampler: options.sampler.unwrap_or(profile.sampler),
            deep_cache: options.deep_cache.unwrap_or(1),
            size: options
                .size
                .unwrap_or(TargetSize::Side(profile.longer_side)),
            fit: options.fit.unwrap_or(options.compat.fit()),
            guidance: Guidance::new(text_scale, image_scale)
                .with_formula(profile.guidance)
                .with_rescale(rescale(options, profile)),
            options: options.clone(),
        };
        settings.check()?;
        Ok(settings)
    }

    /// The step of the schedule that the edit begins with: 0 but where a strength is given.
    pub(crate) fn first_step(&self) -> usize {
        let made = |strength| made_steps(strength, self.steps);
        self.options
            .strength
            .map_or(0, |strength| self.steps - made(strength))
    }

    fn check(&self) -> Result<()> {
        if let Some(steps) = self.options.schedule.steps()
            && steps != self.steps
        {
            let expected = format!("{steps}, as the schedule has");
            return Err(Error::setting("steps", expected, self.steps));
        }
        if let Some(strength) = self.options.strength {
            check_strength(strength, self.steps)?;
        }
        if self.options.region.is_attention() {
            check_attention(&self.guidance)?;
        }
        if self.deep_cache == 0 {
            return Err(Error::setting("deep_cache", "1 or more", 0));
        }
        self.guidance.check()?;
        self.check_guided_steps()?;
        match self.options.eta {
            Some(eta) if !self.sampler.has_eta() => {
                let expected = format!(
                    "left out: the sampler {} draws no fresh noise",
                    self.sampler
                );
                Err(Error::setting("eta", expected, eta))
            }
            Some(eta) if !(0.0..=1.0).contains(&eta) => {
                Err(Error::setting("eta", "between 0 and 1", eta))
            }
            _ => Ok(()),
        }
    }

    /// Whether guidance can be left out at some steps.
    fn check_guided_steps(&self) -> Result<()> {
        let (interval, adaptive) = (
            self.options.guidance_interval,
            self.options.adaptive_guidance,
        );
        if self.options.region.is_attention() {
            let expected = "left out with --where attention, which weighs the branches itself";
            if let Some(interval) = interval {
                return Err(Error::setting("guidance_interval", expected, interval));
            }
            if let Some(threshold) = adaptive {
                return Err(Error::setting("adaptive_guidance", expected, threshold));
            }
        }
        adaptive.map_or(Ok(()), |threshold| self.check_adaptive(threshold))
    }

    fn check_adaptive(&self, threshold: f64) -> Result<()> {
        let both = [Branch::TextAndImage, Branch::Image];
        let runs_both = |step| {
            let plan = self.guidance.plan(step);
            let runs = |branch| plan.iter().any(|planned| planned.branch == branch);
            both.into_iter().all(runs)
        };
        let expected = if !(threshold > 0.0 && threshold <= 1.0) {
            "above 0 and at most 1"
        } else if self.guidance.formula != GuidanceFormula::Brooks {
            "left out: the branch that is left is a prediction in the formula of Brooks et al. alone, which is not the checkpoint's"
        } else if !(self.first_step()..self.steps).any(runs_both) {
            "left out: with these scales the network is not asked both with the sentence and without"
        } else {
            return Ok(());
        };
        Err(Error::setting("adaptive_guidance", expected, threshold))
    }
}

/// The options with the short cuts that `fast` stands for, where it is asked for and the checkpoint makes many steps.
fn hastened(options: &EditOptions, profile: &CheckpointProfile) -> EditOptions {
    let mut options = options.clone();
    if !options.fast || profile.steps <= FAST_STEPS {
        return options;
    }
    if options.schedule.steps().is_none() {
        options.steps.get_or_insert(FAST_STEPS);
    }
    if options.eta.is_none() {
        options.sampler.get_or_insert(SamplerKind::DpmPp2m);
    }
    options.deep_cache.get_or_insert(2);
    if !options.region.is_attention() {
        options.guidance_interval = options
            .guidance_interval
            .or_else(|| GuidanceInterval::new(0.0, 0.6).ok());
    }
    options
}

/// How far the guided prediction is rescaled.
fn rescale(options: &EditOptions, profile: &CheckpointProfile) -> f64 {
    let own = Some(profile.guidance_rescale).filter(|_| options.takes_rescale());
    options.guidance_rescale.or(own).unwrap_or_default()
}

/// Whether the scales can be maps.
fn check_attention(guidance: &Guidance) -> Result<()> {
    if guidance.formula != GuidanceFormula::Brooks {
        let expected = "auto or a place: attention scopes the guidance of Brooks et al. alone, which is not the checkpoint's";
        return Err(Error::setting("where", expected, "attention"));
    }
    if guidance.rescale != 0.0 {
        let expected = "0 with --where attention";
        return Err(Error::setting(
            "guidance_rescale",
            expected,
            guidance.rescale,
        ));
    }
    Ok(())
}

fn check_steps(steps: usize, profile: &CheckpointProfile) -> Result<()> {
    if (1..=profile.train_timesteps).contains(&steps) {
        return Ok(());
    }
    let expected = format!("between 1 and {}", profile.train_timesteps);
    Err(Error::setting("steps", expected, steps))
}

/// How many of the steps an edit of this strength makes: `get_timesteps` of diffusers' image-to-image pipelines.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "towards zero, as Python's int"
)]
fn made_steps(strength: f64, steps: usize) -> usize {
    ((steps as f64 * strength) as usize).min(steps)
}

fn check_strength(strength: f64, steps: usize) -> Result<()> {
    if !(strength > 0.0 && strength <= 1.0) {
        return Err(Error::setting(
            "strength",
            "above 0 and at most 1",
            strength,
        ));
    }
    if made_steps(strength, steps) == 0 {
        let least = (1000.0 / steps as f64).ceil() / 1000.0;
        let expected = format!("at least {least}, for one of the {steps} steps");
        return Err(Error::setting("strength", expected, strength));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ip2p_core::Size;

    use super::*;
    use crate::{Compat, ScheduleKind};

    fn profile() -> CheckpointProfile {
        CheckpointProfile {
            steps: 6,
            sampler: SamplerKind::DpmPp2m,
            longer_side: 256,
            text_scale: 4.0,
            image_scale: 1.2,
            guidance_rescale: 0.3,
            ..CheckpointProfile::default()
        }
    }

    #[test]
    fn the_checkpoint_says_what_the_caller_does_not() {
        let settings = Settings::new(&EditOptions::default(), &profile()).unwrap();
        assert_eq!(settings.steps, 6);
        assert_eq!(settings.sampler, SamplerKind::DpmPp2m);
        assert_eq!(settings.size, TargetSize::Side(256));
        assert_eq!(settings.guidance, Guidance::new(4.0, 1.2).with_rescale(0.3));
    }

    #[test]
    fn what_other_tools_do_not_rescale_is_rescaled_only_if_the_caller_says_so() {
        let rescale = |options: EditOptions| {
            let settings = Settings::new(&options, &profile()).unwrap();
            settings.guidance.rescale
        };
        let options = EditOptions::default;
        assert_eq!(rescale(options().with_guidance_rescale(0.0)), 0.0);
        for compat in [Compat::Original, Compat::Diffusers] {
            assert_eq!(rescale(options().with_compat(compat)), 0.0);
        }
        let asked = options()
            .with_compat(Compat::Diffusers)
            .with_guidance_rescale(0.7);
        assert_eq!(rescale(asked), 0.7);
        assert_eq!(
            rescale(options().with_where("attention".parse::<ip2p_region::Where>().unwrap())),
            0.0
        );
    }

    #[test]
    fn the_caller_has_the_last_word() {
        let options = EditOptions::default()
            .with_steps(3)
            .with_sampler(SamplerKind::Ddim)
            .with_eta(1.0)
            .with_size(Size::new(64, 32).into())
            .with_text_scale(9.0)
            .with_guidance_rescale(0.0)
            .with_image_scale(2.0);
        let settings = Settings::new(&options, &profile()).unwrap();
        assert_eq!(settings.steps, 3);
        assert_eq!(settings.sampler, SamplerKind::Ddim);
        assert_eq!(settings.size, Size::new(64, 32).into());
        assert_eq!(settings.guidance, Guidance::new(9.0, 2.0));
    }

    #[test]
    fn a_list_of_sigmas_says_how_many_steps_there_are() {
        let sigmas = ScheduleKind::Custom(vec![14.0, 3.0, 0.0]);
        let options = EditOptions::default().with_schedule(sigmas);
        assert_eq!(Settings::new(&options, &profile()).unwrap().steps, 2);
        let error = Settings::new(&options.with_steps(3), &profile()).unwrap_err();
        assert!(error.to_string().starts_with("steps must be 2"), "{error}");
    }

    #[test]
    fn a_curve_of_a_scale_has_the_steps_that_there_are() {
        let options = EditOptions::default()
            .with_steps(3)
            .with_text_scale(ScaleCurve::Ramp { from: 9.0, to: 3.0 });
        let settings = Settings::new(&options, &profile()).unwrap();
        assert_eq!(settings.guidance.text_scale, vec![9.0, 6.0, 3.0].into());
        let endless = options.with_image_scale(ScaleCurve::Ramp {
            from: 1.0,
            to: f64::INFINITY,
        });
        let error = Settings::new(&endless, &profile()).unwrap_err();
        assert!(error.to_string().starts_with("image_scale"), "{error}");
    }

    #[test]
    fn a_strength_makes_the_last_steps_and_at_least_one() {
        let first = |strength, steps| {
            let options = EditOptions::default()
                .with_strength(strength)
                .with_steps(steps);
            Settings::new(&options, &profile()).map(|settings| settings.first_step())
        };
        // What Python's `steps - min(int(steps * strength), steps)` gives.
        for (strength, steps, expected) in [
            (1.0, 20, 0),
            (0.3, 20, 14),
            (0.29, 100, 72),
            (0.999, 6, 1),
            (0.5, 5, 3),
        ] {
            assert_eq!(first(strength, steps).unwrap(), expected, "{strength}");
        }
        assert_eq!(
            Settings::new(&EditOptions::default(), &profile())
                .unwrap()
                .first_step(),
            0
        );
        for (strength, steps) in [
            (0.0, 20),
            (-1.0, 20),
            (1.01, 20),
            (f64::NAN, 20),
            (0.04, 20),
        ] {
            let error = first(strength, steps).unwrap_err().to_string();
            assert!(error.starts_with("strength"), "{error}");
        }
    }

    #[test]
    fn an_eta_is_checked_against_the_checkpoints_sampler() {
        let options = EditOptions::default().with_eta(0.5);
        options.check().unwrap();
        let error = Settings::new(&options, &profile()).unwrap_err().to_string();
        assert!(error.contains("dpmpp-2m draws no fresh noise"), "{error}");
    }
}
