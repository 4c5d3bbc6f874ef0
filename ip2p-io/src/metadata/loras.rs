//! The low-rank adaptations of an edit, as files keep them.
//!
//! AUTOMATIC1111 has them in the prompt, `<lora:name:0.8>`, and their hashes among the pairs (`extensions-builtin/Lora`).

use serde::{Deserialize, Serialize};

/// A low-rank adaptation that an edit was made with.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoraRecord {
    /// The file's name without its ending.
    pub name: String,
    /// How much it counted.
    pub weight: f64,
    /// See [`Lora::hash`](crate::Lora::hash).
    pub hash: Option<String>,
    /// The file, as it was named.
    pub path: Option<String>,
}

/// What stands in the prompt.
pub(super) fn tags(loras: &[LoraRecord]) -> String {
    loras.iter().fold(String::new(), |text, lora| {
        text + &format!(" <lora:{}:{}>", lora.name, lora.weight)
    })
}

/// The pair `Lora hashes`, if there is something to say.
pub(super) fn hashes(loras: &[LoraRecord]) -> Option<String> {
    named_hashes(loras.iter().map(|lora| (&lora.name, &lora.hash)))
}

/// Names with their hashes, as such pairs have them; those without one are left out.
pub(super) fn named_hashes<'a>(
    named: impl Iterator<Item = (&'a String, &'a Option<String>)>,
) -> Option<String> {
    let hashes: Vec<_> = named
        .filter_map(|(name, hash)| Some(format!("{name}: {}", hash.as_ref()?)))
        .collect();
    (!hashes.is_empty()).then(|| hashes.join(", "))
}

/// Takes the tags out of a prompt; one that is not understood stays where it is.
pub(super) fn take_tags(prompt: &str) -> (String, Vec<LoraRecord>) {
    let mut loras = Vec::new();
    let mut rest = String::new();
    let mut at = prompt;
    while let Some(start) = at.find("<lora:") {
        let tag = &at[start..];
        let parsed = tag
            .find('>')
            .and_then(|end| Some((parse(&tag["<lora:".len()..end])?, end)));
        if let Some((lora, end)) = parsed {
            // The space before a tag is part of it.
            rest.push_str(at[..start].strip_suffix(' ').unwrap_or(&at[..start]));
            at = &tag[end + 1..];
            loras.push(lora);
        } else {
            let after = start + "<lora:".len();
            rest.push_str(&at[..after]);
            at = &at[after..];
        }
    }
    rest.push_str(at);
    (rest, loras)
}

/// `name`, or `name:weight`; different weights for each network are not understood.
fn parse(text: &str) -> Option<LoraRecord> {
    let mut parts = text.split(':');
    let name = parts.next().filter(|name| !name.is_empty())?;
    let weight = match parts.next() {
        None => 1.0,
        Some(weight) => weight
            .parse()
            .ok()
            .filter(|weight: &f64| weight.is_finite())?,
    };
    parts.next().is_none().then(|| LoraRecord {
        name: name.to_owned(),
        weight,
        ..LoraRecord::default()
    })
}

/// Adds the hashes of the pair `Lora hashes` to those of their names.
pub(super) fn take_hashes(loras: &mut [LoraRecord], value: &str) {
    for (name, hash) in value.split(',').filter_map(|pair| pair.split_once(':')) {
        for lora in loras.iter_mut().filter(|lora| lora.name == name.trim()) {
            lora.hash = Some(hash.trim().to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lora(name: &str, weight: f64) -> LoraRecord {
        LoraRecord {
            name: name.into(),
            weight,
            ..LoraRecord::default()
        }
    }

    #[test]
    fn tags_are_taken_out_of_the_prompt() {
        let (rest, loras) = take_tags(
            "make it <lora:snow-2:0.8> snowy <lora:x> <lora:bad:x> <lora:te:0.5:1> <lora:",
        );
        assert_eq!(rest, "make it snowy <lora:bad:x> <lora:te:0.5:1> <lora:");
        assert_eq!(loras, [lora("snow-2", 0.8), lora("x", 1.0)]);
    }

    #[test]
    fn hashes_belong_to_names() {
        let mut loras = [lora("a", 1.0), lora("b", 1.0)];
        take_hashes(&mut loras, "b: 12ab, c: 3, nonsense");
        assert_eq!(loras[1].hash.as_deref(), Some("12ab"));
        assert_eq!(hashes(&loras).as_deref(), Some("b: 12ab"));
        assert_eq!(hashes(&loras[..1]), None);
        assert_eq!(tags(&loras), " <lora:a:1> <lora:b:1>");
    }
}
