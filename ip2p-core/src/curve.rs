//! Scales that change on the way, said without knowing how many steps there are.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Result, ScaleSchedule};

/// How a scale goes from the first step to the last, as the command spells it.
///
/// | spelling | what it says |
/// | --- | --- |
/// | `7.5` | the same at each step |
/// | `9..3` | 9 at the first step, 3 at the last, and evenly between them |
/// | `9@0,5@0.5` | 9 from the beginning, 5 from half of the steps on |
/// | `9,7.5,3` | one value for each step, the last one kept |
///
/// # Examples
///
/// ```
/// use ip2p_core::{ScaleCurve, ScaleSchedule};
///
/// let curve: ScaleCurve = "9..3".parse()?;
/// assert_eq!(curve.schedule(4), ScaleSchedule::PerStep(vec![9.0, 7.0, 5.0, 3.0]));
/// let curve: ScaleCurve = "9@0,5@0.5".parse()?;
/// assert_eq!(curve.schedule(4), ScaleSchedule::PerStep(vec![9.0, 9.0, 5.0, 5.0]));
/// # Ok::<(), ip2p_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum ScaleCurve {
    /// The same at each step, or one value for each.
    Steps(ScaleSchedule),
    /// Evenly from the first step's value to the last step's.
    Ramp {
        /// At the first step.
        from: f64,
        /// At the last step.
        to: f64,
    },
    /// Values, each with the share of the steps from which on it holds: rising from 0 to below 1.
    Parts(Vec<(f64, f64)>),
}

impl ScaleCurve {
    /// The scale at each of so many steps.
    #[must_use]
    pub fn schedule(&self, steps: usize) -> ScaleSchedule {
        match self {
            Self::Steps(schedule) => schedule.clone(),
            Self::Ramp { from, to } => {
                let last = steps.saturating_sub(1).max(1) as f64;
                let at = |step| from + (to - from) * (step as f64 / last);
                (0..steps.max(1)).map(at).collect::<Vec<_>>().into()
            }
            Self::Parts(parts) => {
                let at = |step| {
                    let share = step as f64 / steps as f64;
                    let holds = |(_, begin): &&(f64, f64)| *begin <= share;
                    // The first part begins at 0.
                    parts.iter().rfind(holds).map_or(f64::NAN, |part| part.0)
                };
                (0..steps.max(1)).map(at).collect::<Vec<_>>().into()
            }
        }
    }
}

impl From<ScaleSchedule> for ScaleCurve {
    fn from(schedule: ScaleSchedule) -> Self {
        Self::Steps(schedule)
    }
}

impl From<f64> for ScaleCurve {
    fn from(scale: f64) -> Self {
        Self::Steps(scale.into())
    }
}

impl From<Vec<f64>> for ScaleCurve {
    fn from(scales: Vec<f64>) -> Self {
        Self::Steps(scales.into())
    }
}

impl fmt::Display for ScaleCurve {
    /// As [`FromStr`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Steps(schedule) => schedule.fmt(f),
            Self::Ramp { from, to } => write!(f, "{from}..{to}"),
            Self::Parts(parts) => {
                for (index, (scale, begin)) in parts.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    write!(f, "{comma}{scale}@{begin}")?;
                }
                Ok(())
            }
        }
    }
}

impl FromStr for ScaleCurve {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            let expected = "a number, one for each step as in 9,7.5,3, a way as in 9..3, or parts as in 9@0,5@0.5";
            Error::setting("scale", expected, text)
        };
        let number = |text: &str| text.trim().parse::<f64>().map_err(|_| wrong());
        if let Some((from, to)) = text.split_once("..") {
            let (from, to) = (number(from)?, number(to)?);
            return Ok(Self::Ramp { from, to });
        }
        if !text.contains('@') {
            let schedule: ScaleSchedule = text.parse().map_err(|_| wrong())?;
            return Ok(Self::Steps(schedule));
        }
        let parts: Vec<(f64, f64)> = text
            .split(',')
            .map(|part| {
                let (scale, begin) = part.split_once('@').ok_or_else(wrong)?;
                Ok((number(scale)?, number(begin)?))
            })
            .collect::<Result<_>>()?;
        check_parts(&parts, text)?;
        Ok(Self::Parts(parts))
    }
}

/// Whether the parts begin at 0 and rise.
fn check_parts(parts: &[(f64, f64)], text: &str) -> Result<()> {
    let begins: Vec<f64> = parts.iter().map(|part| part.1).collect();
    let rise = begins.is_sorted_by(|a, b| a < b);
    if begins.first() == Some(&0.0) && rise && begins.iter().all(|begin| *begin < 1.0) {
        return Ok(());
    }
    let expected =
        "in parts that begin at 0 and at rising shares of the steps below 1, as in 9@0,5@0.5";
    Err(Error::setting("scale", expected, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str, steps: usize) -> Vec<f64> {
        let schedule = text.parse::<ScaleCurve>().unwrap().schedule(steps);
        (0..steps).map(|step| schedule.at(step)).collect()
    }

    #[test]
    fn each_spelling_says_the_scale_at_each_step() {
        assert_eq!(values("7.5", 3), [7.5, 7.5, 7.5]);
        assert_eq!(values("9, 3", 3), [9.0, 3.0, 3.0]);
        assert_eq!(values("9..3", 3), [9.0, 6.0, 3.0]);
        assert_eq!(values("1..-1", 2), [1.0, -1.0]);
        assert_eq!(values("9..3", 1), [9.0]);
        assert_eq!(values("9@0,5@0.5,1@0.9", 5), [9.0, 9.0, 9.0, 5.0, 5.0]);
        assert_eq!(values("9@0,5@0.5", 1), [9.0]);
        assert_eq!(values("4@0", 2), [4.0, 4.0]);
    }

    #[test]
    fn a_curve_is_written_as_it_is_read() {
        for text in ["7.5", "9,3", "9..3", "-1..0.5", "9@0,5@0.5"] {
            let curve: ScaleCurve = text.parse().unwrap();
            assert_eq!(curve.to_string(), text);
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in [
            "",
            "x",
            "9..",
            "..3",
            "9..3..1",
            "9@",
            "@0",
            "9@0,5",
            "9@0.5",
            "9@0,5@1",
            "9@0,5@0.5,3@0.5",
            "9@0,5@NaN",
            "0:9",
        ] {
            let error = text.parse::<ScaleCurve>().unwrap_err().to_string();
            assert!(error.contains("9@0,5@0.5"), "{text}: {error}");
        }
    }
}
