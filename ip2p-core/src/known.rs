//! The fine-tunes of InstructPix2Pix whose conventions are known, by name.

use crate::{
    CheckpointProfile, Error, GuidanceFormula, ModelFamily, NullText, Result, SamplerKind,
    TextState,
};

/// What stands where a licence is not known.
const UNKNOWN: &str = "unknown: see the model's page";

/// A published model whose conventions are known: what its files do not say of how it is used.
///
/// One row of a table, [`KnownProfile::ALL`]: a model more is a row more, and no other code.
///
/// # Examples
///
/// ```
/// use ip2p_core::{CheckpointProfile, KnownProfile};
///
/// let known = KnownProfile::named("instruct-diffusion")?;
/// assert_eq!(known.profile().text_scale, 5.0);
/// assert!(KnownProfile::named("instruct-pix3pix").unwrap_err().to_string().contains("magicbrush"));
/// assert_eq!(CheckpointProfile::named("magicbrush")?.name, "MagicBrush");
/// # Ok::<(), ip2p_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct KnownProfile {
    /// The name, as the command spells it.
    pub name: &'static str,
    /// The name for people.
    pub title: &'static str,
    /// Where the model is published.
    pub page: &'static str,
    /// The licence of its weights.
    pub licence: &'static str,
    /// The family of networks that it is of.
    pub family: ModelFamily,
    /// Names that its files are saved under: words in small letters, one blank between them, that stand together in the name. None
    /// where the files themselves say all.
    saved_as: &'static [&'static str],
    /// Sets what its files do not say.
    conventions: fn(&mut CheckpointProfile),
}

impl KnownProfile {
    /// Every model that is known, the original first.
    pub const ALL: &'static [Self] = &[
        Self {
            name: "instruct-pix2pix",
            title: "InstructPix2Pix",
            page: "https://huggingface.co/timbrooks/instruct-pix2pix",
            // Its LICENSE refers to Stable Diffusion's for the checkpoints.
            licence: "MIT, and that of Stable Diffusion: CreativeML Open RAIL-M",
            family: ModelFamily::Sd1,
            saved_as: &["instruct pix2pix"],
            conventions: |_| (),
        },
        Self {
            name: "magicbrush",
            title: "MagicBrush",
            page: "https://huggingface.co/osunlp/InstructPix2Pix-MagicBrush",
            licence: "CreativeML Open RAIL-M",
            family: ModelFamily::Sd1,
            saved_as: &["magicbrush", "magic brush"],
            conventions: |_| (),
        },
        Self {
            name: "hive",
            title: "HIVE, weighted reward",
            page: "https://github.com/salesforce/HIVE",
            licence: UNKNOWN,
            family: ModelFamily::Sd1,
            saved_as: &["hive"],
            conventions: |_| (),
        },
        Self {
            name: "hive-condition",
            title: "HIVE, conditional reward",
            page: "https://github.com/salesforce/HIVE",
            licence: UNKNOWN,
            family: ModelFamily::Sd1,
            saved_as: &["hive rw condition", "hive rw label", "hive condition"],
            conventions: best_of_five,
        },
        Self {
            name: "hive-sd2",
            title: "HIVE on Stable Diffusion 2.1, weighted reward",
            page: "https://github.com/salesforce/HIVE",
            licence: UNKNOWN,
            family: ModelFamily::Sd2,
            saved_as: &["hive"],
            conventions: |_| (),
        },
        Self {
            name: "hive-sd2-condition",
            title: "HIVE on Stable Diffusion 2.1, conditional reward",
            page: "https://github.com/salesforce/HIVE",
            licence: UNKNOWN,
            family: ModelFamily::Sd2,
            saved_as: &[
                "hive v2 rw condition",
                "hive condition",
                "hive sd2 condition",
            ],
            conventions: best_of_five,
        },
        Self {
            name: "instruct-diffusion",
            title: "InstructDiffusion",
            page: "https://github.com/cientgu/InstructDiffusion",
            licence: UNKNOWN,
            family: ModelFamily::Sd1,
            saved_as: &["instructdiffusion", "instruct diffusion", "adaption task"],
            // `edit_cli.py` at 435f0c3.
            conventions: |profile| {
                profile.guidance = GuidanceFormula::InstructDiffusion;
                profile.text_scale = 5.0;
                profile.image_scale = 1.25;
            },
        },
        Self {
            name: "cartoonizer",
            title: "Instruction-tuned Stable Diffusion: cartoonizer",
            page: "https://huggingface.co/instruction-tuning-sd/cartoonizer",
            licence: "MIT, as its page says",
            family: ModelFamily::Sd1,
            saved_as: &["cartoonizer"],
            conventions: |_| (),
        },
        Self {
            name: "low-level",
            title: "Instruction-tuned Stable Diffusion: low-level image processing",
            page: "https://huggingface.co/instruction-tuning-sd/low-level-img-proc",
            licence: UNKNOWN,
            family: ModelFamily::Sd1,
            saved_as: &["low level img proc", "low level image proc"],
            conventions: |_| (),
        },
        Self {
            name: "sdxl-instructpix2pix-768",
            title: "InstructPix2Pix on Stable Diffusion XL",
            page: "https://huggingface.co/diffusers/sdxl-instructpix2pix-768",
            licence: UNKNOWN,
            family: ModelFamily::Sdxl,
            // Its files say what it is.
            saved_as: &[],
            conventions: |profile| {
                xl(profile);
                // The model card.
                (profile.text_scale, profile.longer_side) = (3.0, 768);
                profile.steps = 30;
            },
        },
        Self {
            name: "cosxl-edit",
            title: "CosXL edit",
            page: "https://huggingface.co/stabilityai/cosxl",
            licence: UNKNOWN,
            family: ModelFamily::Sdxl,
            saved_as: &[],
            conventions: |profile| {
                xl(profile);
                profile.image_latents_scale = profile.scaling_factor;
                // Stability's own demonstration.
                (profile.text_scale, profile.longer_side) = (7.0, 1024);
            },
        },
    ];

    /// The model of this name.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] that lists the names there are.
    pub fn named(name: &str) -> Result<&'static Self> {
        Self::ALL
            .iter()
            .find(|known| known.name == name)
            .ok_or_else(|| {
                let names: Vec<_> = Self::ALL.iter().map(|known| known.name).collect();
                Error::setting("profile", format!("one of {}", names.join(", ")), name)
            })
    }

    /// The model that a checkpoint of this family is by the name that it was saved under, if it is one that is known.
    ///
    /// Of several it is the one whose name says most.
    #[must_use]
    pub fn of(saved_as: &str, family: ModelFamily) -> Option<&'static Self> {
        let words = words(saved_as);
        let length = |known: &&Self| {
            let names = known.saved_as.iter();
            let found = names.filter(|name| words.contains(&format!(" {name} ")));
            found.map(|name| name.len()).max()
        };
        let of_family = Self::ALL.iter().filter(|known| known.family == family);
        let found = of_family.filter_map(|known| Some((length(&known)?, known)));
        // The first of equals, so that the table's order counts.
        let longest = found.reduce(|best, next| if next.0 > best.0 { next } else { best });
        longest.map(|(_, known)| known)
    }

    /// The conventions of a checkpoint whose files say what they usually do.
    #[must_use]
    pub fn profile(&self) -> CheckpointProfile {
        let mut profile = CheckpointProfile {
            name: self.title.into(),
            family: self.family,
            ..CheckpointProfile::default()
        };
        (self.conventions)(&mut profile);
        profile
    }

    /// Sets the conventions in `profile` that the files of such a model do not say, and leaves what they do: its name, how
    /// it was trained, its latents' scale.
    pub fn apply_to(&self, profile: &mut CheckpointProfile) {
        let CheckpointProfile {
            image_latents_scale,
            guidance,
            null_text,
            text_scale,
            image_scale,
            steps,
            sampler,
            longer_side,
            suffix,
            ..
        } = self.profile();
        profile.image_latents_scale = image_latents_scale;
        profile.guidance = guidance;
        profile.null_text = null_text;
        profile.text_scale = text_scale;
        profile.image_scale = image_scale;
        profile.steps = steps;
        profile.sampler = sampler;
        profile.longer_side = longer_side;
        profile.suffix = suffix;
    }
}

impl CheckpointProfile {
    /// The conventions of a known model: [`KnownProfile::profile`].
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] that lists the names there are.
    pub fn named(name: &str) -> Result<Self> {
        KnownProfile::named(name).map(KnownProfile::profile)
    }
}

/// HIVE's conditional reward: `edit_cli_rw_label.py:110` at 09f9a22.
fn best_of_five(profile: &mut CheckpointProfile) {
    profile.suffix = ", image quality is five out of five".into();
}

/// What the models of Stable Diffusion XL have in common.
fn xl(profile: &mut CheckpointProfile) {
    profile.scaling_factor = 0.13025;
    profile.text_state = TextState::Penultimate;
    profile.upcast_vae = true;
    profile.null_text = NullText::Zeros;
    profile.sampler = SamplerKind::Euler;
}

/// The words of a name in small letters, one blank before and after each.
fn words(name: &str) -> String {
    let split = name.split(|c: char| !c.is_ascii_alphanumeric());
    let words = split.filter(|word| !word.is_empty());
    let lower: Vec<_> = words.map(str::to_ascii_lowercase).collect();
    format!(" {} ", lower.join(" "))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_is_there_once_and_its_profile_makes_sense() {
        let names: BTreeSet<_> = KnownProfile::ALL.iter().map(|known| known.name).collect();
        assert_eq!(names.len(), KnownProfile::ALL.len());
        for known in KnownProfile::ALL {
            assert_eq!(KnownProfile::named(known.name).unwrap().title, known.title);
            known.profile().check().unwrap();
            for name in known.saved_as {
                assert_eq!(words(name), format!(" {name} "), "{}", known.name);
            }
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let error = KnownProfile::named("magic-brush").unwrap_err().to_string();
        assert!(error.starts_with("profile must be one of instruct-pix2pix, magicbrush, hive,"));
        assert!(error.ends_with("got magic-brush"), "{error}");
    }

    #[test]
    fn a_checkpoint_is_known_by_the_name_that_it_was_saved_under() {
        let cases = [
            (
                "timbrooks/instruct-pix2pix",
                ModelFamily::Sd1,
                Some("instruct-pix2pix"),
            ),
            (
                "instruct-pix2pix-00-22000",
                ModelFamily::Sd1,
                Some("instruct-pix2pix"),
            ),
            (
                "MagicBrush-epoch-52-step-4999",
                ModelFamily::Sd1,
                Some("magicbrush"),
            ),
            ("hive_rw", ModelFamily::Sd1, Some("hive")),
            (
                "hive_rw_condition",
                ModelFamily::Sd1,
                Some("hive-condition"),
            ),
            ("hive_v2_rw", ModelFamily::Sd2, Some("hive-sd2")),
            (
                "hive_v2_rw_condition",
                ModelFamily::Sd2,
                Some("hive-sd2-condition"),
            ),
            (
                "x/Instruct-Diffusion",
                ModelFamily::Sd1,
                Some("instruct-diffusion"),
            ),
            (
                "v1-5-pruned-emaonly-adaption-task-humanalign",
                ModelFamily::Sd1,
                Some("instruct-diffusion"),
            ),
            (
                "instruction-tuning-sd/scratch-cartoonizer",
                ModelFamily::Sd1,
                Some("cartoonizer"),
            ),
            (
                "instruction-tuning-sd/low-level-img-proc",
                ModelFamily::Sd1,
                Some("low-level"),
            ),
            // Part of a word is none.
            ("archive/model", ModelFamily::Sd1, None),
            // Another family has no such model.
            ("MagicBrush", ModelFamily::Sd2, None),
            ("", ModelFamily::Sd1, None),
        ];
        for (saved_as, family, expected) in cases {
            let found = KnownProfile::of(saved_as, family).map(|known| known.name);
            assert_eq!(found, expected, "{saved_as}");
        }
    }

    #[test]
    fn what_the_files_say_stays() {
        let mut profile = CheckpointProfile {
            name: "mine".into(),
            scaling_factor: 0.13,
            beta_end: 0.02,
            ..CheckpointProfile::default()
        };
        KnownProfile::named("instruct-diffusion")
            .unwrap()
            .apply_to(&mut profile);
        assert_eq!((profile.text_scale, profile.image_scale), (5.0, 1.25));
        assert_eq!(profile.guidance, GuidanceFormula::InstructDiffusion);
        assert_eq!((profile.scaling_factor, profile.beta_end), (0.13, 0.02));
        assert_eq!(profile.name, "mine");
    }
}
