//! Evenly spaced numbers.

/// `points` numbers from `start` to `end`, both included; of one point, `start`.
pub(crate) fn linspace(
    start: f64,
    end: f64,
    points: usize,
) -> impl DoubleEndedIterator<Item = f64> {
    let last = points.saturating_sub(1);
    let step = (end - start) / last.max(1) as f64;
    (0..points).map(move |i| {
        if i == last && i > 0 {
            end
        } else {
            start + step * i as f64
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_are_exact() {
        let numbers: Vec<f64> = linspace(0.1, 0.7, 7).collect();
        assert!(numbers[0] == 0.1 && numbers[6] == 0.7 && numbers.len() == 7);
        assert!(linspace(3.0, 9.0, 1).eq([3.0]));
        assert!(linspace(3.0, 9.0, 0).next().is_none());
    }
}
