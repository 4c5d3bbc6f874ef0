//! What is set for the turns to come.

use std::collections::BTreeMap;
use std::fmt;

use clap::{Args, Command, FromArgMatches};
use ip2p::{EditOptions, Error, Result};

use crate::args::MaskArgs;
use crate::edit::forget_rescale;

/// Options that all turns of a session have in common.
const FIXED: [&str; 5] = ["size", "fit", "keep_model_size", "compat", "focus"];

/// Options by their names over those that the session began with.
#[derive(Debug)]
pub(super) struct Settings {
    base: EditOptions,
    set: BTreeMap<String, String>,
}

impl Settings {
    pub(super) fn new(base: EditOptions) -> Self {
        Self {
            base,
            set: BTreeMap::new(),
        }
    }

    /// What can be set.
    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        let options = EditOptions::NAMES.iter().copied();
        let own = options.filter(|name| !FIXED.contains(name));
        own.chain(mask_names())
    }

    /// Sets an option of `ip2p edit`, or one of its masks, to what the text says.
    ///
    /// # Errors
    ///
    /// If there is none of this name, it has no such value, or all turns have it in common.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let name = name.replace('-', "_");
        if FIXED.contains(&name.as_str()) {
            let expected = format!(
                "an option that may differ from turn to turn, not one of {}",
                FIXED.join(", ")
            );
            return Err(Error::setting("set", expected, name));
        }
        if is_of_mask(&name) {
            mask_of([(name.as_str(), value)])?;
        } else {
            let known = EditOptions::NAMES.contains(&name.as_str());
            if !known {
                let names: Vec<_> = Self::names().collect();
                let expected = format!(
                    "followed by one of {} (for a sentence, write: edit set {name} {value})",
                    names.join(", ")
                );
                return Err(Error::setting("set", expected, name));
            }
            EditOptions::default().set(&name, value)?;
        }
        self.set.insert(name, value.to_owned());
        Ok(())
    }

    /// Leaves an option as it was before it was set.
    ///
    /// # Errors
    ///
    /// If it was not.
    pub(super) fn unset(&mut self, name: &str) -> Result<()> {
        match self.set.remove(&name.replace('-', "_")) {
            Some(_) => Ok(()),
            None => Err(Error::setting(
                "unset",
                "followed by a name that was set",
                name,
            )),
        }
    }

    /// As [`Self::unset`], whether it was set or not.
    pub(super) fn forget(&mut self, name: &str) {
        self.set.remove(&name.replace('-', "_"));
    }

    /// The seed that was set, if one was.
    pub(super) fn seed(&self) -> Option<u64> {
        self.set.get("seed")?.parse().ok()
    }

    pub(super) fn options(&self) -> Result<EditOptions> {
        let mut options = self.base.clone();
        for (name, value) in self.set.iter().filter(|(name, _)| !is_of_mask(name)) {
            options.set(name, value)?;
        }
        if self.set.contains_key("where") && !self.set.contains_key("guidance_rescale") {
            forget_rescale(&mut options);
        }
        Ok(options)
    }

    pub(super) fn mask(&self) -> Result<MaskArgs> {
        let set = self.set.iter().filter(|(name, _)| is_of_mask(name));
        mask_of(set.map(|(name, value)| (name.as_str(), value.as_str())))
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.set.is_empty() {
            return f.write_str("nothing is set");
        }
        let lines = self
            .set
            .iter()
            .map(|(name, value)| format!("{name} {value}"));
        f.write_str(&lines.collect::<Vec<_>>().join("\n"))
    }
}

/// The options of the command line that draw a mask.
fn of_masks() -> Command {
    MaskArgs::augment_args(
        Command::new("set")
            .no_binary_name(true)
            .disable_help_flag(true),
    )
}

fn mask_names() -> impl Iterator<Item = &'static str> {
    ["mask", "mask_box", "mask_invert", "mask_feather"].into_iter()
}

fn is_of_mask(name: &str) -> bool {
    mask_names().any(|known| known == name)
}

/// The arguments that settings of masks come to; switches are on with `true`.
fn mask_of<'a>(set: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<MaskArgs> {
    let mut arguments = Vec::new();
    for (name, value) in set {
        let option = format!("--{}", name.replace('_', "-"));
        match (name, value) {
            ("mask_invert", "true") => arguments.push(option),
            ("mask_invert", "false") => {}
            ("mask_invert", _) => {
                return Err(Error::setting("mask_invert", "true or false", value));
            }
            _ => arguments.push(format!("{option}={value}")),
        }
    }
    let wrong = |error: clap::Error| {
        let said = error.to_string();
        let said = said.lines().next().unwrap_or_default();
        Error::setting(
            "set",
            "an option with its value",
            said.trim_start_matches("error: "),
        )
    };
    let matches = of_masks().try_get_matches_from(arguments).map_err(wrong)?;
    MaskArgs::from_arg_matches(&matches).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_over_what_was_and_goes_again() {
        let mut settings = Settings::new(EditOptions::default().with_steps(3));
        settings.set("text-scale", "9").unwrap();
        settings.set("seed", "7").unwrap();
        let options = settings.options().unwrap();
        assert_eq!(
            (options.steps, options.text_scale),
            (Some(3), Some(9.0.into()))
        );
        assert_eq!(settings.seed(), Some(7));
        assert_eq!(settings.to_string(), "seed 7\ntext_scale 9");
        settings.unset("text_scale").unwrap();
        assert_eq!(settings.options().unwrap().text_scale, None);
        assert!(settings.unset("text_scale").is_err());
    }

    #[test]
    fn masks_are_set_as_on_the_command_line() {
        let mut settings = Settings::new(EditOptions::default());
        assert!(!settings.mask().unwrap().is_given());
        settings.set("mask_box", "0,0,40,30").unwrap();
        settings.set("where", "top left").unwrap();
        settings.set("mask_invert", "true").unwrap();
        assert_eq!(settings.options().unwrap().region.to_string(), "top left");
        let mask = settings.mask().unwrap();
        assert!(mask.is_given() && mask.mask_invert && mask.mask_box.len() == 1);
        for (name, value) in [
            ("mask_box", "1,2"),
            ("where", "beyond"),
            ("mask_invert", "maybe"),
        ] {
            assert!(settings.set(name, value).is_err(), "{name}");
        }
    }

    #[test]
    fn what_all_turns_share_and_what_is_not_known_cannot_be_set() {
        let mut settings = Settings::new(EditOptions::default());
        for name in FIXED {
            assert!(settings.set(name, "64").is_err(), "{name}");
        }
        let error = settings.set("the", "sky on fire").unwrap_err().to_string();
        assert!(error.contains("write: edit set the sky on fire"), "{error}");
        assert!(settings.set("steps", "many").is_err());
    }
}
