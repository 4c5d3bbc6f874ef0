//! Which of several edits of a photo is best: `ip2p sweep --auto`.
//!
//! An edit is to go far where the sentence acts and to leave the rest. So those that change the rest by more than a limit come
//! after all others, the least change first; among the others the furthest edit is the first. The paper picks among its
//! training pictures in the same way, by CLIP: Brooks et al. (2023), <https://arxiv.org/abs/2211.09800>, section 3.1.2.

use ip2p::region::{Mask, Where};
use ip2p::{EditOptions, EditRequest, Editor, Result};
use serde::Serialize;

/// How far an edit went, as shares of the way from black to white.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Change {
    /// Where the sentence acts.
    pub(crate) inside: f64,
    /// Where it does not.
    pub(crate) outside: f64,
}

/// An edit's place in the ranking.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Ranked {
    /// Which of the edits it is, from 0.
    pub(crate) edit: usize,
    #[serde(flatten)]
    pub(crate) change: Change,
    /// Why it stands where it does.
    pub(crate) why: String,
}

/// Where the sentence acts: what is said of where, or else what the model finds with these options; all of the photo if it
/// finds nothing, which is told.
pub(crate) fn map(
    editor: &Editor,
    request: &EditRequest<'_>,
    options: &EditOptions,
) -> Result<Mask> {
    let mut options = options.clone();
    if request.mask.is_none() && options.region.place().is_none() {
        options = options.with_where(Where::AUTO);
    }
    let mut edited = editor.edit_batch(std::slice::from_ref(request), &options)?;
    // One request of one variation gives one picture.
    let edited = edited.swap_remove(0);
    if let Some(mask) = edited.mask {
        return Ok(mask.as_ref().clone());
    }
    crate::exit::tell(
        "warning: the sentence acts on all of the photo, so that the limit is of nothing",
    );
    let size = request.photo.size();
    Ok(Mask::from_region(size, size.into()))
}

/// The edits from the best on; `limit` is how much may change outside.
pub(crate) fn rank(changes: &[Change], limit: f64) -> Vec<Ranked> {
    let mut order: Vec<_> = changes.iter().copied().enumerate().collect();
    order.sort_by(|(_, a), (_, b)| {
        let within = |change: &Change| change.outside <= limit;
        match (within(a), within(b)) {
            (true, true) => b.inside.total_cmp(&a.inside),
            (false, false) => a.outside.total_cmp(&b.outside),
            (a, b) => b.cmp(&a),
        }
    });
    order
        .into_iter()
        .enumerate()
        .map(|(place, (edit, change))| Ranked {
            edit,
            change,
            why: reason(place, change, limit),
        })
        .collect()
}

/// Why an edit stands at this place, from 0.
fn reason(place: usize, change: Change, limit: f64) -> String {
    let percent = |share: f64| format!("{:.1}%", 100.0 * share);
    let (inside, outside) = (percent(change.inside), percent(change.outside));
    if change.outside > limit {
        let limit = percent(limit);
        return format!(
            "changes {outside} of the rest, more than {limit}, and {inside} of what it is about"
        );
    }
    let place = match place {
        0 => "goes furthest",
        _ => "goes less far",
    };
    format!("{place}: changes {inside} of what it is about, and {outside} of the rest")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(changes: &[[f64; 2]], limit: f64) -> Vec<usize> {
        let change = |&[inside, outside]: &[f64; 2]| Change { inside, outside };
        let changes: Vec<_> = changes.iter().map(change).collect();
        rank(&changes, limit)
            .iter()
            .map(|ranked| ranked.edit)
            .collect()
    }

    #[test]
    fn the_furthest_edit_within_the_limit_comes_first_and_wild_ones_last() {
        let changes = [[0.1, 0.01], [0.9, 0.3], [0.2, 0.02], [0.5, 0.1], [0.0, 0.0]];
        assert_eq!(order(&changes, 0.02), [2, 0, 4, 3, 1]);
        assert_eq!(order(&changes, 1.0), [1, 3, 2, 0, 4]);
        assert!(order(&[], 0.1).is_empty());
    }

    #[test]
    fn the_reason_has_the_numbers() {
        let ranked = rank(
            &[Change {
                inside: 0.25,
                outside: 0.05,
            }],
            0.02,
        );
        assert_eq!(
            ranked[0].why,
            "changes 5.0% of the rest, more than 2.0%, and 25.0% of what it is about"
        );
        let ranked = rank(
            &[Change {
                inside: 0.25,
                outside: 0.01,
            }],
            0.02,
        );
        assert!(
            ranked[0].why.starts_with("goes furthest: changes 25.0%"),
            "{}",
            ranked[0].why
        );
    }
}
