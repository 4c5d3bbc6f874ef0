//! The text in which Stable Diffusion tools say how a picture was made.
//!
//! AUTOMATIC1111's form (`modules/infotext_utils.py`, `processing.py`): the prompt, a line `Negative prompt: …`, and a last
//! line of `Key: value` pairs, of which a value with a comma, colon or line break in it is quoted as JSON.

use std::fmt::Write;
use std::path::Path;

use ip2p_core::{NoiseKind, ScaleSchedule, Size};

use super::EditRecord;
use super::{embeddings, loras};
use crate::prompt::PromptSyntax;

const NEGATIVE: &str = "Negative prompt:";

/// How the versions of this program begin.
const OURS: &str = "ip2p ";

/// Our names of samplers and AUTOMATIC1111's.
const SAMPLERS: [(&str, &str); 9] = [
    ("euler-a", "Euler a"),
    ("euler", "Euler"),
    ("heun", "Heun"),
    ("ddim", "DDIM"),
    ("dpmpp-2m", "DPM++ 2M"),
    ("dpmpp-2m-sde", "DPM++ 2M SDE"),
    ("unipc", "UniPC"),
    ("lcm", "LCM"),
    ("tcd", "TCD"),
];

/// Our names of schedules and AUTOMATIC1111's; of several of theirs, the first is written.
const SCHEDULES: [(&str, &str); 6] = [
    ("normal", "Uniform"),
    ("normal", "Automatic"),
    ("normal", "Normal"),
    ("karras", "Karras"),
    ("exponential", "Exponential"),
    ("trailing", "SGM Uniform"),
];

impl EditRecord {
    /// The record in the form that other tools read.
    ///
    /// Not all settings have a name there: [`EditRecord::to_json`] has them all.
    #[must_use]
    pub fn to_parameters(&self) -> String {
        // A file's text ends at a zero.
        let mut text = self.instruction.clone() + &loras::tags(&self.loras);
        text = text.replace('\0', "");
        if let Some(negative) = self.negative.as_deref().filter(|text| !text.is_empty()) {
            let _ = write!(text, "\n{NEGATIVE} {}", negative.replace('\0', ""));
        }
        let pairs: Vec<String> = self
            .pairs()
            .into_iter()
            .map(|(key, value)| format!("{key}: {}", quote(&value)))
            .collect();
        let _ = write!(text, "\n{}", pairs.join(", "));
        text.trim().to_owned()
    }

    /// Reads what [`EditRecord::to_parameters`] or another tool wrote; what it does not say has its default.
    ///
    /// `None` if the text does not end in a line of at least three pairs, as AUTOMATIC1111 requires.
    #[must_use]
    pub fn parse_parameters(text: &str) -> Option<Self> {
        let (sentences, last) = text.trim().rsplit_once('\n').unwrap_or(("", text.trim()));
        let pairs = parse_pairs(last);
        if pairs.len() < 3 {
            return None;
        }
        let mut record = Self {
            version: String::new(),
            ..Self::default()
        };
        let (instruction, negative) = parse_sentences(sentences);
        (record.instruction, record.loras) = loras::take_tags(&instruction);
        record.negative = negative;
        for (key, value) in pairs {
            record.take(&key, value);
        }
        // Other tools' sentences are of that syntax, whether they say so or not.
        if !record.version.starts_with(OURS) {
            record.take_syntax(PromptSyntax::A1111.name());
        }
        Some(record)
    }

    fn pairs(&self) -> Vec<(&'static str, String)> {
        let mut pairs = vec![
            ("Steps", self.steps.to_string()),
            ("Sampler", theirs(&SAMPLERS, &self.sampler)),
            ("Schedule type", theirs(&SCHEDULES, &self.schedule)),
            ("CFG scale", first(&self.text_scale)),
            ("Image CFG scale", first(&self.image_scale)),
            ("Seed", self.seed.to_string()),
        ];
        let mut optional = |key, value: Option<String>| {
            pairs.extend(value.map(|value| (key, value)));
        };
        optional("Size", self.model_size.map(|size| size.to_string()));
        optional("Model hash", self.model_hash.clone());
        optional("Model", self.model.clone());
        optional("VAE", self.vae_name());
        optional("Lora hashes", loras::hashes(&self.loras));
        optional("TI hashes", embeddings::hashes(&self.embeddings));
        let syntax = (self.prompt_syntax != PromptSyntax::Plain).then_some(self.prompt_syntax);
        optional("Prompt syntax", syntax.map(|syntax| syntax.to_string()));
        // Their image-to-image begins with the photo under noise, ours with noise alone if there is no strength.
        optional(
            "Denoising strength",
            Some(self.strength.unwrap_or(1.0).to_string()),
        );
        optional("Eta", self.eta.map(|eta| eta.to_string()));
        let rescale = (self.guidance_rescale != 0.0).then(|| self.guidance_rescale.to_string());
        optional("CFG Rescale phi", rescale);
        optional("Guidance interval", self.guidance_interval.map(Into::into));
        optional(
            "Adaptive guidance",
            self.adaptive_guidance.map(|g| g.to_string()),
        );
        optional("Deep cache", self.deep_cache.map(|n| n.to_string()));
        optional("CFG scale schedule", per_step(&self.text_scale));
        optional("Image CFG scale schedule", per_step(&self.image_scale));
        let rng = match self.noise {
            NoiseKind::TorchCpu => Some("CPU"),
            NoiseKind::TorchCuda => Some("NV"),
            _ => None,
        };
        optional("RNG", rng.map(str::to_owned));
        optional("Version", Some(self.version.clone()));
        pairs
    }

    /// Takes one setting from a file of ours or of others: a value that makes no sense is as if it were not there.
    fn take(&mut self, key: &str, value: String) {
        fn set<T: std::str::FromStr>(field: &mut T, value: &str) {
            if let Ok(value) = value.parse() {
                *field = value;
            }
        }
        let scale = |field: &mut ScaleSchedule| {
            if let Some(scale) = finite(&value) {
                *field = scale.into();
            }
        };
        match key {
            "Steps" => set(&mut self.steps, &value),
            "Seed" => set(&mut self.seed, &value),
            "CFG scale" => scale(&mut self.text_scale),
            "Image CFG scale" => scale(&mut self.image_scale),
            "CFG scale schedule" => take_per_step(&mut self.text_scale, &value),
            "Image CFG scale schedule" => take_per_step(&mut self.image_scale, &value),
            "CFG Rescale phi" => self.guidance_rescale = finite(&value).unwrap_or_default(),
            "Guidance interval" => self.guidance_interval = value.parse().ok(),
            "Adaptive guidance" => {
                self.adaptive_guidance = finite(&value).filter(|&g| 0.0 < g && g <= 1.0);
            }
            "Deep cache" => self.deep_cache = value.parse().ok().filter(|&n| n > 0),
            "Denoising strength" => {
                // 1 is what those write who begin with noise alone.
                self.strength = finite(&value).filter(|&strength| 0.0 < strength && strength < 1.0);
            }
            "Eta" => self.eta = finite(&value),
            "Sampler" => self.take_sampler(&value),
            "Schedule type" => self.schedule = ours(&SCHEDULES, &value),
            "Size" => {
                if let Ok(size) = value.parse::<Size>() {
                    self.model_size = Some(size);
                    self.size = size.into();
                }
            }
            "RNG" => {
                self.noise = match value.as_str() {
                    "CPU" => NoiseKind::TorchCpu,
                    _ => NoiseKind::TorchCuda,
                }
            }
            "Model" => self.model = Some(value),
            "Model hash" => self.model_hash = Some(value),
            "Lora hashes" => loras::take_hashes(&mut self.loras, &value),
            "TI hashes" => self.embeddings = embeddings::take_hashes(&value),
            "Prompt syntax" => self.take_syntax(&value),
            "Version" => self.version = value,
            _ => {}
        }
    }

    fn take_syntax(&mut self, value: &str) {
        if let Ok(syntax) = value.parse::<PromptSyntax>() {
            self.prompt_syntax = syntax;
            self.long_prompt = syntax.long_prompt();
        }
    }

    /// The name of the autoencoder's file.
    fn vae_name(&self) -> Option<String> {
        let name = Path::new(self.vae_path.as_ref()?).file_name()?;
        Some(name.to_string_lossy().into_owned())
    }

    /// Older files have the schedule in the sampler's name: `DPM++ 2M Karras`.
    fn take_sampler(&mut self, value: &str) {
        let with_schedule = value.rsplit_once(' ').and_then(|(sampler, schedule)| {
            let known = SCHEDULES.iter().find(|(_, theirs)| *theirs == schedule)?;
            Some((sampler, known.0))
        });
        let sampler = match with_schedule {
            Some((sampler, schedule)) => {
                self.schedule = schedule.into();
                sampler
            }
            None => value,
        };
        self.sampler = ours(&SAMPLERS, sampler);
    }
}

fn theirs(names: &[(&str, &str)], name: &str) -> String {
    let found = names.iter().find(|(ours, _)| *ours == name);
    found.map_or(name, |(_, theirs)| theirs).to_owned()
}

fn ours(names: &[(&str, &str)], name: &str) -> String {
    let found = names.iter().find(|(_, theirs)| *theirs == name);
    found.map_or(name, |(ours, _)| ours).to_owned()
}

fn first(scale: &ScaleSchedule) -> String {
    match scale {
        ScaleSchedule::Constant(scale) => scale.to_string(),
        ScaleSchedule::PerStep(scales) => scales.first().copied().unwrap_or_default().to_string(),
    }
}

fn per_step(scale: &ScaleSchedule) -> Option<String> {
    let ScaleSchedule::PerStep(scales) = scale else {
        return None;
    };
    let scales: Vec<_> = scales.iter().map(f64::to_string).collect();
    Some(scales.join(", "))
}

fn take_per_step(field: &mut ScaleSchedule, value: &str) {
    let scales: Option<Vec<_>> = value.split(',').map(|scale| finite(scale.trim())).collect();
    if let Some(scales) = scales {
        *field = scales.into();
    }
}

fn finite(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

fn quote(value: &str) -> String {
    if value.contains([',', '\n', ':']) || value.starts_with('"') {
        serde_json::Value::from(value).to_string()
    } else {
        value.to_owned()
    }
}

fn parse_sentences(text: &str) -> (String, Option<String>) {
    let mut instruction = Vec::new();
    let mut negative = None::<Vec<&str>>;
    for line in text.lines().map(str::trim) {
        match (line.strip_prefix(NEGATIVE), &mut negative) {
            (Some(line), None) => negative = Some(vec![line.trim()]),
            (_, Some(negative)) => negative.push(line),
            (None, None) => instruction.push(line),
        }
    }
    (
        instruction.join("\n"),
        negative.map(|lines| lines.join("\n")),
    )
}

/// The `Key: value` pairs of a line.
fn parse_pairs(line: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut rest = line;
    while !rest.is_empty() {
        let (pair, after) = split_pair(rest);
        pairs.extend(pair);
        rest = after;
    }
    pairs
}

/// The first pair of a line, if it is one, and what comes after its comma.
fn split_pair(line: &str) -> (Option<(String, String)>, &str) {
    let plain = || line.split_once(',').unwrap_or((line, ""));
    let Some((key, value)) = line.split_once(':').filter(|(key, _)| is_key(key.trim())) else {
        return (None, plain().1);
    };
    let value = value.trim_start();
    if let Some((unquoted, after)) = split_quoted(value) {
        return (Some((key.trim().to_owned(), unquoted)), after);
    }
    let (value, after) = value.split_once(',').unwrap_or((value, ""));
    let pair = (key.trim().to_owned(), value.trim().to_owned());
    (Some(pair), after)
}

fn is_key(text: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    text.starts_with(word)
        && text
            .chars()
            .all(|c| word(c) || matches!(c, ' ' | '-' | '/'))
}

/// A JSON string at the beginning of a line and what comes after the comma that follows it.
fn split_quoted(line: &str) -> Option<(String, &str)> {
    if !line.starts_with('"') {
        return None;
    }
    let mut values = serde_json::Deserializer::from_str(line).into_iter::<String>();
    let value = values.next()?.ok()?;
    let after = line[values.byte_offset()..].trim_start();
    if after.is_empty() {
        return Some((value, after));
    }
    Some((value, after.strip_prefix(',')?))
}

#[cfg(test)]
mod tests;
