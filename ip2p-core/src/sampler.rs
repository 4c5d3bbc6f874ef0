//! The names of the samplers: `ip2p-sched` has what they do.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A sampler.
///
/// Exhaustive, so that a name without a sampler behind it does not compile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum SamplerKind {
    /// `euler-a`: Euler's method, with some of the noise drawn anew at each step. The original InstructPix2Pix's.
    #[default]
    EulerAncestral,
    /// `euler`: Karras et al. (2022), <https://arxiv.org/abs/2206.00364>, algorithm 2 without churn, Euler steps.
    Euler,
    /// `heun`: the same with Heun's method; two evaluations at each step but the last.
    Heun,
    /// `ddim`: Song et al. (2020), <https://arxiv.org/abs/2010.02502>, eq. 12.
    Ddim,
    /// `dpmpp-2m`: DPM-Solver++(2M), Lu et al. (2022), <https://arxiv.org/abs/2211.01095>, algorithm 2.
    DpmPp2m,
    /// `dpmpp-2m-sde`: the same for the stochastic equation, midpoint rule; ibid., appendix.
    DpmPp2mSde,
    /// `unipc`: UniPC-2 with B₂(h), Zhao et al. (2023), <https://arxiv.org/abs/2302.04867>, algorithm 7.
    UniPc,
    /// `lcm`: Luo et al. (2023), <https://arxiv.org/abs/2310.04378>, algorithm 3; for networks distilled so.
    Lcm,
    /// `tcd`: strategic stochastic sampling, Zheng et al. (2024), <https://arxiv.org/abs/2402.19159>, algorithm 4; for networks
    /// distilled so.
    Tcd,
}

impl SamplerKind {
    /// Every sampler there is.
    pub const ALL: [Self; 9] = [
        Self::EulerAncestral,
        Self::Euler,
        Self::Heun,
        Self::Ddim,
        Self::DpmPp2m,
        Self::DpmPp2mSde,
        Self::UniPc,
        Self::Lcm,
        Self::Tcd,
    ];

    /// The name, as the command spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::EulerAncestral => "euler-a",
            Self::Euler => "euler",
            Self::Heun => "heun",
            Self::Ddim => "ddim",
            Self::DpmPp2m => "dpmpp-2m",
            Self::DpmPp2mSde => "dpmpp-2m-sde",
            Self::UniPc => "unipc",
            Self::Lcm => "lcm",
            Self::Tcd => "tcd",
        }
    }

    /// The class in diffusers that the sampler is in the compatible mode.
    ///
    /// For `dpmpp-2m` and `dpmpp-2m-sde` it is the same class, with `algorithm_type` `dpmsolver++` and
    /// `sde-dpmsolver++`.
    #[must_use]
    pub fn diffusers_class(self) -> &'static str {
        match self {
            Self::EulerAncestral => "EulerAncestralDiscreteScheduler",
            Self::Euler => "EulerDiscreteScheduler",
            Self::Heun => "HeunDiscreteScheduler",
            Self::Ddim => "DDIMScheduler",
            Self::DpmPp2m | Self::DpmPp2mSde => "DPMSolverMultistepScheduler",
            Self::UniPc => "UniPCMultistepScheduler",
            Self::Lcm => "LCMScheduler",
            Self::Tcd => "TCDScheduler",
        }
    }

    /// Whether the share of noise that is drawn anew can be set.
    #[must_use]
    pub fn has_eta(self) -> bool {
        matches!(
            self,
            Self::EulerAncestral | Self::Ddim | Self::DpmPp2mSde | Self::Tcd
        )
    }

    /// The share of noise that is drawn anew at each step where nothing else is asked for.
    #[must_use]
    pub fn default_eta(self) -> f64 {
        match self {
            Self::EulerAncestral | Self::DpmPp2mSde => 1.0,
            // The paper's γ, as diffusers has it.
            Self::Tcd => 0.3,
            _ => 0.0,
        }
    }

    /// How often the denoiser is asked in `steps` steps.
    #[must_use]
    pub fn evaluations(self, steps: usize) -> usize {
        match self {
            Self::Heun => (2 * steps).saturating_sub(1),
            _ => steps,
        }
    }
}

impl fmt::Display for SamplerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for SamplerKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let known = Self::ALL.map(Self::name);
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| Error::setting("sampler", format!("one of {}", known.join(", ")), text))
    }
}

impl From<SamplerKind> for String {
    fn from(kind: SamplerKind) -> Self {
        kind.name().to_owned()
    }
}

impl TryFrom<String> for SamplerKind {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_the_round_trip_through_text() {
        for kind in SamplerKind::ALL {
            assert_eq!(kind.to_string().parse::<SamplerKind>().unwrap(), kind);
            let json = serde_json::to_string(&kind).unwrap();
            assert_eq!(json, format!("\"{kind}\""));
            assert_eq!(serde_json::from_str::<SamplerKind>(&json).unwrap(), kind);
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let error = "euler_a".parse::<SamplerKind>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "sampler must be one of euler-a, euler, heun, ddim, dpmpp-2m, dpmpp-2m-sde, unipc, lcm, tcd, got euler_a"
        );
    }
}
