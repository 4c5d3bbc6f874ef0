//! The names that diffusers and transformers give to files of weights.

use crate::Precision;

/// One of the sets of weights that a folder may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightsVariant {
    /// The files without a word in their name.
    Full,
    /// The files with `fp16` in their name.
    Fp16,
}

impl WeightsVariant {
    /// The names that diffusers and transformers give the index of the shards.
    ///
    /// `stem` is how the names of the files begin: `diffusion_pytorch_model` or `model`.
    #[must_use]
    pub fn index_names(self, stem: &str) -> Vec<String> {
        match self {
            Self::Full => vec![format!("{stem}.safetensors.index.json")],
            Self::Fp16 => vec![
                format!("{stem}.safetensors.index.fp16.json"),
                format!("{stem}.fp16.safetensors.index.json"),
            ],
        }
    }

    /// The sets to fetch, the better first: the smaller one where the numbers are rounded to 16 bits anyway.
    #[must_use]
    pub fn smallest_for(precision: Precision) -> [Self; 2] {
        match precision {
            Precision::F32 => [Self::Full, Self::Fp16],
            Precision::F16 | Precision::Bf16 | Precision::Int8 => [Self::Fp16, Self::Full],
        }
    }
}

/// What the name of a safetensors file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WeightsName {
    /// The set that it is of.
    pub variant: WeightsVariant,
    /// Which shard it is, counted from 1, and of how many.
    pub shard: Option<(u32, u32)>,
}

impl WeightsName {
    /// Reads a name that begins with `stem`; both places of `fp16` are in use.
    ///
    /// # Examples
    ///
    /// ```
    /// use ip2p_core::{WeightsName, WeightsVariant};
    ///
    /// let name = WeightsName::parse("model.fp16-00001-of-00002.safetensors", "model").unwrap();
    /// assert_eq!((name.variant, name.shard), (WeightsVariant::Fp16, Some((1, 2))));
    /// assert_eq!(WeightsName::parse("model.bin", "model"), None);
    /// ```
    #[must_use]
    pub fn parse(name: &str, stem: &str) -> Option<Self> {
        let rest = name.strip_prefix(stem)?.strip_suffix(".safetensors")?;
        let half = rest
            .strip_prefix(".fp16")
            .or_else(|| rest.strip_suffix(".fp16"));
        let variant = if half.is_some() {
            WeightsVariant::Fp16
        } else {
            WeightsVariant::Full
        };
        let shard = match half.unwrap_or(rest) {
            "" => None,
            shard => {
                let (number, count) = shard.strip_prefix('-')?.split_once("-of-")?;
                Some((number.parse().ok()?, count.parse().ok()?))
            }
        };
        Some(Self { variant, shard })
    }
}
