//! What a checkpoint is written to, and how its numbers are written.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use ip2p_core::{Error, Precision, Result};
use safetensors::Dtype;

use super::gguf::Quant;
use super::header::Format;

/// How the numbers of weights are written.
///
/// The quantised formats are those of ggml, for GGUF files: blocks of 32 whole numbers with a scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum WeightFormat {
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits with 5 of exponent.
    F16,
    /// 16 bits with 8 of exponent.
    Bf16,
    /// 8 bits, and a scale of 16 for each 32 numbers: 8.5 bits a number.
    Q8_0,
    /// 4 bits, and a scale of 16 for each 32 numbers: 4.5 bits a number.
    Q4_0,
}

/// The other name of [`WeightFormat::Q8_0`].
const INT8: &str = "int8";

impl WeightFormat {
    /// Every format there is.
    pub const ALL: [Self; 5] = [Self::F32, Self::F16, Self::Bf16, Self::Q8_0, Self::Q4_0];

    /// Every name that is understood: the formats' own, and `int8` for `q8_0`.
    pub const NAMES: [&str; 6] = ["f32", "f16", "bf16", "q8_0", "q4_0", INT8];

    /// The name, as the command spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Q8_0 => "q8_0",
            Self::Q4_0 => "q4_0",
        }
    }

    /// The precision of the weights that it is best written from, where there is a choice: as many bits as it keeps, or 16.
    #[must_use]
    pub const fn source(self) -> Precision {
        match self {
            Self::F32 => Precision::F32,
            Self::Bf16 => Precision::Bf16,
            Self::F16 | Self::Q8_0 | Self::Q4_0 => Precision::F16,
        }
    }

    fn is_quantized(self) -> bool {
        matches!(self, Self::Q8_0 | Self::Q4_0)
    }

    /// What a tensor is written as that has to be plain.
    fn plain(self) -> Format {
        Format::Plain(match self {
            Self::F32 => Dtype::F32,
            Self::Bf16 => Dtype::BF16,
            Self::F16 | Self::Q8_0 | Self::Q4_0 => Dtype::F16,
        })
    }

    /// The number by which GGUF files name the format of most of their tensors: `general.file_type`.
    pub(super) const fn file_type(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q4_0 => 2,
            Self::Q8_0 => 7,
            Self::Bf16 => 32,
        }
    }
}

impl From<Precision> for WeightFormat {
    fn from(precision: Precision) -> Self {
        match precision.of_floats() {
            Precision::F16 => Self::F16,
            Precision::Bf16 => Self::Bf16,
            _ => Self::F32,
        }
    }
}

impl fmt::Display for WeightFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for WeightFormat {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text == INT8 {
            return Ok(Self::Q8_0);
        }
        Self::ALL
            .into_iter()
            .find(|format| format.name() == text)
            .ok_or_else(|| Error::setting("precision", Self::NAMES.join(", "), text))
    }
}

/// What a checkpoint is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Folder,
    Safetensors,
    Gguf,
}

impl Target {
    /// By the ending of the name.
    pub(super) fn of(output: &Path, format: WeightFormat) -> Result<Self> {
        let ending = output
            .extension()
            .unwrap_or_default()
            .to_string_lossy()
            .to_ascii_lowercase();
        let target = match &*ending {
            "safetensors" => Self::Safetensors,
            "gguf" => Self::Gguf,
            "ckpt" | "pt" | "pth" | "bin" | "sft" => {
                let expected = "a folder, or a file that ends in .safetensors or .gguf";
                return Err(Error::setting("output", expected, output.display()));
            }
            _ => Self::Folder,
        };
        if format.is_quantized() && target != Self::Gguf {
            let expected = "f32, f16 or bf16 for a folder or a file that ends in .safetensors: numbers of 8 and 4 bits are written to a \
                            file that ends in .gguf";
            return Err(Error::setting("precision", expected, format));
        }
        Ok(target)
    }

    pub(super) fn is_file(self) -> bool {
        self != Self::Folder
    }

    /// What a tensor is written as, by the name that it has in the file.
    ///
    /// In GGUF files as stable-diffusion.cpp writes them: the embeddings, the time's layers and what is no matrix are not quantised
    /// (`tensor_should_be_converted` of its `model.cpp`). Convolutions are not in `bf16`: it computes them in `f16`, and diffusers
    /// takes numbers in `bf16` for blocks, of which it makes matrices alone. What has one axis, norms and biases, is small and stays in
    /// 32 bits, as all of ggml's tools but that one have it.
    pub(super) fn tensor_format(self, format: WeightFormat, name: &str, shape: &[usize]) -> Format {
        if self != Self::Gguf {
            return format.plain();
        }
        let quant = match format {
            _ if shape.len() < 2 => return Format::Plain(Dtype::F32),
            WeightFormat::Q8_0 => Quant::Q8_0,
            WeightFormat::Q4_0 => Quant::Q4_0,
            WeightFormat::Bf16 if shape.len() > 2 => return WeightFormat::F16.plain(),
            _ => return format.plain(),
        };
        let is_kept = name.contains("embedding") || name.contains("time_embed.");
        match *shape {
            [_, row] if !is_kept && row.is_multiple_of(quant.numbers()) => Format::Quantized(quant),
            _ => format.plain(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_is_known_by_its_name() {
        for format in WeightFormat::ALL {
            assert_eq!(format.to_string().parse::<WeightFormat>().unwrap(), format);
            assert!(WeightFormat::NAMES.contains(&format.name()));
        }
        assert_eq!("int8".parse::<WeightFormat>().unwrap(), WeightFormat::Q8_0);
        let error = "q9".parse::<WeightFormat>().unwrap_err().to_string();
        assert!(error.contains("q4_0, int8, got q9"), "{error}");
        for precision in Precision::ALL {
            let written = precision.of_floats();
            assert_eq!(WeightFormat::from(precision).name(), written.name());
        }
    }

    #[test]
    fn the_ending_says_what_is_written() {
        let of = |path: &str, format| Target::of(Path::new(path), format);
        assert_eq!(of("a", WeightFormat::F32).unwrap(), Target::Folder);
        assert_eq!(
            of("a.SafeTensors", WeightFormat::F16).unwrap(),
            Target::Safetensors
        );
        assert_eq!(of("a.gguf", WeightFormat::Q4_0).unwrap(), Target::Gguf);
        let words = |path, format| of(path, format).unwrap_err().to_string();
        let plain = words("a.safetensors", WeightFormat::Q8_0);
        assert!(plain.contains("ends in .gguf, got q8_0"), "{plain}");
        let pickle = words("a.ckpt", WeightFormat::F32);
        assert!(pickle.contains("must be a folder, or a file"), "{pickle}");
    }

    #[test]
    fn matrices_are_quantised_and_what_is_small_or_no_matrix_is_not() {
        let of = |name, shape: &[usize]| {
            Target::Gguf
                .tensor_format(WeightFormat::Q8_0, name, shape)
                .to_string()
        };
        assert_eq!(of("attn2.to_k.weight", &[320, 768]), "Q8_0");
        assert_eq!(of("conv.weight", &[320, 4, 3, 3]), "F16");
        assert_eq!(of("odd.weight", &[32, 33]), "F16");
        assert_eq!(of("time_embed.0.weight", &[1280, 320]), "F16");
        assert_eq!(of("token_embedding.weight", &[49408, 768]), "F16");
        assert_eq!(of("norm.weight", &[320]), "F32");
        let plain = |format| {
            Target::Gguf
                .tensor_format(format, "a", &[2, 32])
                .to_string()
        };
        assert_eq!(plain(WeightFormat::Bf16), "BF16");
        assert_eq!(plain(WeightFormat::F32), "F32");
    }
}
