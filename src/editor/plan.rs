//! What an edit's options come to with a checkpoint: its sigmas, its sampler, its guidance.

use ip2p_core::{Error, Guidance, GuidanceFormula, Result, ScaleSchedule};
use ip2p_sched::{NoiseSchedule, Sampler, Schedule, ScheduleKind};

use super::Editor;
use crate::options::Compat;
use crate::settings::Settings;

impl Editor {
    /// The sigmas of an edit, and the sampler that walks them.
    pub(super) fn schedule(&self, settings: &Settings) -> Result<(Schedule, Sampler)> {
        let (schedule, sampler) = if settings.options.compat == Compat::Diffusers {
            self.diffusers_schedule(settings)?
        } else {
            let noise = NoiseSchedule::new(&self.model.profile)?;
            let (kind, steps) = (&settings.options.schedule, settings.steps);
            let schedule = Schedule::for_sampler(&noise, settings.sampler, kind, steps)?;
            (schedule, Sampler::new(settings.sampler))
        };
        match settings.options.eta {
            Some(eta) => Ok((schedule, sampler.with_eta(eta))),
            None => Ok((schedule, sampler)),
        }
    }

    /// The schedule of diffusers' scheduler of the sampler's name, with the settings of the checkpoint's folder.
    fn diffusers_schedule(&self, settings: &Settings) -> Result<(Schedule, Sampler)> {
        if settings.options.schedule != ScheduleKind::Normal {
            let expected = "left out with --compat diffusers, where the checkpoint's scheduler_config.json says it";
            return Err(Error::setting(
                "schedule",
                expected,
                &settings.options.schedule,
            ));
        }
        let schedule = self
            .model
            .scheduler
            .schedule(settings.sampler, settings.steps)?;
        Ok((schedule, self.model.scheduler.sampler(settings.sampler)?))
    }
}

/// The guidance of an edit, and a warning where it is not what was asked for.
pub(super) fn guidance(settings: &Settings) -> (Guidance, Option<String>) {
    let (guidance, warning) = of_compat(settings);
    (within_interval(guidance, settings), warning)
}

/// The guidance, with scales that leave one branch at the steps that are to have none.
fn within_interval(guidance: Guidance, settings: &Settings) -> Guidance {
    let Some(interval) = settings.options.guidance_interval else {
        return guidance;
    };
    // What gives the branch with sentence and photo a weight of 1 and the others none.
    let off = match guidance.formula {
        GuidanceFormula::InstructDiffusion => 0.5,
        _ => 1.0,
    };
    let within = |scale: &ScaleSchedule| -> ScaleSchedule {
        let at = |step| {
            if interval.contains(step, settings.steps) {
                scale.at(step)
            } else {
                off
            }
        };
        (0..settings.steps).map(at).collect::<Vec<_>>().into()
    };
    Guidance {
        text_scale: within(&guidance.text_scale),
        image_scale: within(&guidance.image_scale),
        ..guidance
    }
}

/// The guidance of an edit in its compat mode, and a warning where it is not what was asked for.
fn of_compat(settings: &Settings) -> (Guidance, Option<String>) {
    let asked = settings.guidance.clone();
    if settings.options.compat != Compat::Diffusers {
        return (asked, None);
    }
    // `do_classifier_free_guidance`, pipeline_stable_diffusion_instruct_pix2pix.py:920 of diffusers 0.42.
    let scales = (0..settings.steps).map(|step| {
        match (asked.text_scale.at(step), asked.image_scale.at(step)) {
            (text, image) if text > 1.0 && image >= 1.0 => (text, image),
            _ => (1.0, 1.0),
        }
    });
    let (text, image): (Vec<_>, Vec<_>) = scales.unzip();
    let off = text.contains(&1.0).then(|| {
        "diffusers turns guidance off where the text scale is 1 or less or the image scale below 1: so it is here, in \
         its compat mode"
            .to_owned()
    });
    (
        Guidance {
            text_scale: text.into(),
            image_scale: image.into(),
            ..asked
        },
        off,
    )
}
