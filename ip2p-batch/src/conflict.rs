//! What lies where a picture is to go.

use std::path::Path;

use ip2p::{EditRecord, PhotoFile, Result};

use crate::manifest::{Made, what_counts};

/// What is to be done about one picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// There is none.
    Missing,
    /// It is there, made of this photo with these settings.
    Made,
    /// There is another, for this reason.
    Other(String),
}

/// What lies at `picture`, by the manifests' lines about it.
pub(crate) fn standing(
    picture: &Path,
    lines: &[Made],
    fingerprint: &str,
    settings: &EditRecord,
) -> Result<Standing> {
    if !picture.try_exists().unwrap_or(true) {
        return Ok(Standing::Missing);
    }
    let Some(last) = lines.last() else {
        return Ok(Standing::Other("was not made by a batch".into()));
    };
    // What cannot be read, such as a folder, is another's too.
    let sum = PhotoFile::open(picture).map(|file| file.sha256()).ok();
    let made = lines
        .iter()
        .rfind(|made| Some(&made.sha256) == sum.as_ref());
    match made {
        Some(made) if made.fingerprint == fingerprint => Ok(Standing::Made),
        Some(made) => Ok(Standing::Other(difference(&made.settings, settings)?)),
        None if last.fingerprint == fingerprint => {
            Ok(Standing::Other("was changed after it was made".into()))
        }
        None => Ok(Standing::Other(difference(&last.settings, settings)?)),
    }
}

/// In what the settings of a picture differ from those that are asked for now.
fn difference(made: &EditRecord, asked: &EditRecord) -> Result<String> {
    let (made, asked) = (what_counts(made)?, what_counts(asked)?);
    let mut names: Vec<_> = made.keys().chain(asked.keys()).collect();
    names.sort();
    names.dedup();
    let differ = |name: &&String| made.get(name.as_str()) != asked.get(name.as_str());
    let Some(name) = names.into_iter().find(differ) else {
        return Ok("was made from another photo, or the photo has changed".into());
    };
    let value = |fields: &serde_json::Map<_, serde_json::Value>| {
        let value = fields.get(name.as_str());
        value.map_or("the default".to_owned(), ToString::to_string)
    };
    Ok(match name.as_str() {
        "model_hash" => "was made with another checkpoint".into(),
        _ => format!(
            "was made with other settings: {name} was {} and is {}",
            value(&made),
            value(&asked)
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_named() {
        let made = EditRecord::default();
        let cases = [
            (
                EditRecord {
                    seed: 4,
                    ..made.clone()
                },
                "seed was the default and is 4",
            ),
            (
                EditRecord {
                    model_hash: Some("x".into()),
                    ..made.clone()
                },
                "another checkpoint",
            ),
            (made.clone(), "another photo"),
        ];
        for (asked, expected) in cases {
            let said = difference(&made, &asked).unwrap();
            assert!(said.contains(expected), "{said}");
        }
    }
}
