//! The networks that a checkpoint may have.

use std::fmt;

use serde::Serialize;

/// A network of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Component {
    /// CLIP's text encoder.
    TextEncoder,
    /// The second text encoder of Stable Diffusion XL, OpenCLIP's.
    #[serde(rename = "text_encoder_2")]
    TextEncoder2,
    /// The network that predicts the noise.
    Unet,
    /// The autoencoder between pictures and latents.
    Vae,
}

impl Component {
    /// Every component, in the order in which an edit needs them; [`Checkpoint::components`](super::Checkpoint::components) are those that one has.
    pub const ALL: [Self; 4] = [Self::TextEncoder, Self::TextEncoder2, Self::Vae, Self::Unet];

    /// Those of a text.
    pub(crate) const TEXT: [Self; 2] = [Self::TextEncoder, Self::TextEncoder2];

    /// The name of its folder and in errors.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TextEncoder => "text_encoder",
            Self::TextEncoder2 => "text_encoder_2",
            Self::Unet => "unet",
            Self::Vae => "vae",
        }
    }

    /// How the names of its weight files begin.
    pub(super) const fn stem(self) -> &'static str {
        match self {
            Self::TextEncoder | Self::TextEncoder2 => "model",
            Self::Unet | Self::Vae => "diffusion_pytorch_model",
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
