//! Options by their names, as tables of edits and other programs spell them.

use std::str::FromStr;

use ip2p_core::{Error, Result};

use crate::options::{BranchExecution, EditOptions, OutputSize};

impl EditOptions {
    /// The names that [`EditOptions::set`] knows: those of the command's options, with `_` for `-`.
    pub const NAMES: &[&str] = &[
        "negative",
        "prompt_syntax",
        "long_prompt",
        "steps",
        "sampler",
        "schedule",
        "text_scale",
        "image_scale",
        "strength",
        "guidance_rescale",
        "guidance_interval",
        "adaptive_guidance",
        "deep_cache",
        "fast",
        "eta",
        "seed",
        "noise",
        "size",
        "fit",
        "compat",
        "keep_model_size",
        "detail",
        "where",
        "focus",
        "low_memory",
    ];

    /// Sets the option of this name to what the text says, as the command's option of the same name does.
    ///
    /// `_` and `-` are the same in a name. What is a switch of the command is `true` or `false` here.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] if the name is not one of [`EditOptions::NAMES`], or the text is none of its values.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut options = ip2p::EditOptions::default();
    /// options.set("text-scale", "9")?;
    /// options.set("sampler", "dpmpp-2m")?;
    /// assert_eq!(options.text_scale, Some(9.0.into()));
    /// assert!(options.set("steps", "many").is_err());
    /// # Ok::<(), ip2p::Error>(())
    /// ```
    pub fn set(&mut self, name: &str, text: &str) -> Result<()> {
        let text = text.trim();
        match name.replace('-', "_").as_str() {
            "negative" => self.negative = Some(text.to_owned()),
            "prompt_syntax" => self.prompt_syntax = text.parse()?,
            "long_prompt" => self.long_prompt = Some(text.parse()?),
            "steps" => self.steps = Some(number("steps", "a whole number", text)?),
            "sampler" => self.sampler = Some(text.parse()?),
            "schedule" => self.schedule = text.parse()?,
            "text_scale" => self.text_scale = Some(text.parse()?),
            "image_scale" => self.image_scale = Some(text.parse()?),
            "strength" => self.strength = Some(number("strength", "a number", text)?),
            "guidance_rescale" => {
                self.guidance_rescale = Some(number("guidance_rescale", "a number", text)?);
            }
            "guidance_interval" => self.guidance_interval = Some(text.parse()?),
            "adaptive_guidance" => {
                self.adaptive_guidance = Some(number("adaptive_guidance", "a number", text)?);
            }
            "deep_cache" => self.deep_cache = Some(number("deep_cache", "a whole number", text)?),
            "fast" => self.fast = switch("fast", text)?,
            "eta" => self.eta = Some(number("eta", "a number", text)?),
            "seed" => self.seed = number("seed", "a whole number", text)?,
            "noise" => self.noise = text.parse()?,
            "size" => self.size = Some(text.parse()?),
            "fit" => self.fit = Some(text.parse()?),
            "compat" => self.compat = text.parse()?,
            "keep_model_size" => {
                self.output_size = if switch("keep_model_size", text)? {
                    OutputSize::Model
                } else {
                    OutputSize::Photo
                };
            }
            "detail" => self.detail = text.parse()?,
            "where" => self.region = text.parse()?,
            "focus" => self.focus = text.parse()?,
            "low_memory" => {
                self.branches = if switch("low_memory", text)? {
                    BranchExecution::OneByOne
                } else {
                    BranchExecution::Batched
                };
            }
            _ => {
                let expected = format!("one of {}", Self::NAMES.join(", "));
                return Err(Error::setting("option", expected, name));
            }
        }
        Ok(())
    }
}

fn number<T: FromStr>(name: &'static str, expected: &str, text: &str) -> Result<T> {
    text.parse()
        .map_err(|_| Error::setting(name, expected, text))
}

fn switch(name: &'static str, text: &str) -> Result<bool> {
    match text.to_lowercase().as_str() {
        "true" | "yes" | "1" => Ok(true),
        "false" | "no" | "0" => Ok(false),
        _ => Err(Error::setting(name, "true or false", text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// For each name a value that is not the default's.
    const VALUES: &[(&str, &str)] = &[
        ("negative", "rain"),
        ("prompt_syntax", "a1111"),
        ("long_prompt", "chunks"),
        ("steps", "7"),
        ("sampler", "ddim"),
        ("schedule", "karras"),
        ("text_scale", "9"),
        ("image_scale", "1.2,1.1"),
        ("strength", "0.5"),
        ("guidance_rescale", "0.5"),
        ("guidance_interval", "0..0.6"),
        ("adaptive_guidance", "0.99"),
        ("deep_cache", "3"),
        ("fast", "true"),
        ("eta", "0.25"),
        ("seed", "18446744073709551615"),
        ("noise", "torch-cuda"),
        ("size", "640x384"),
        ("fit", "cover"),
        ("compat", "diffusers"),
        ("keep_model_size", "true"),
        ("detail", "model"),
        ("where", "auto top left"),
        ("focus", "photo"),
        ("low_memory", "true"),
    ];

    #[test]
    fn every_name_sets_something_and_refuses_what_it_does_not_know() {
        let names: Vec<_> = VALUES.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, EditOptions::NAMES);
        for (name, value) in VALUES {
            let mut options = EditOptions::default();
            options.set(&name.replace('_', "-"), value).unwrap();
            assert_ne!(options, EditOptions::default(), "{name}");
            if *name != "negative" {
                assert!(options.set(name, "???").is_err(), "{name}");
            }
        }
    }

    #[test]
    fn an_unknown_name_is_an_error_that_lists_the_known_ones() {
        let error = EditOptions::default().set("prompt", "x").unwrap_err();
        let said = error.to_string();
        assert!(
            said.contains("prompt") && said.contains("negative"),
            "{said}"
        );
    }
}
