//! Networks whose weights stay in memory, and networks that are read when they are needed.

use burn::tensor::Device;
use ip2p_core::{Precision, Result};
use ip2p_io::{Component, LoadProgress};
use ip2p_models::unet::{Quantizer, UNet2DConditionModel};
use ip2p_models::vae::{Autoencoder, Tiling, VaeOptions};

use super::text::TextEncoders;
use super::{Editor, Model};
use crate::options::{BranchExecution, EditOptions};

/// Which networks' weights stay in memory between the parts of an edit; what does not is read from the checkpoint again for
/// each edit that needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[non_exhaustive]
pub enum Residency {
    /// All networks.
    #[default]
    All,
    /// All but the text encoders.
    WithoutText,
    /// None: the network that computes is the only one in memory.
    OneAtATime,
}

/// What edits do for less memory, beside what their options ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Saving {
    /// Whether the branches of guidance run one after another: default not.
    pub one_by_one: bool,
    /// The tiles of the autoencoder where the options do not say any: default none, pictures are taken whole.
    pub tiling: Option<Tiling>,
    /// Which networks' weights stay in memory: default all.
    pub residency: Residency,
}

impl Saving {
    /// What it is, each in a few words.
    #[must_use]
    pub fn choices(&self) -> Vec<String> {
        let branches = "branches of guidance one after another".to_owned();
        let tiles = |tiling: Tiling| format!("the autoencoder in tiles of {}", tiling.tile_size);
        let weights = match self.residency {
            Residency::All => None,
            Residency::WithoutText => Some("the text encoder read when it is needed"),
            Residency::OneAtATime => Some("each network read when it is needed"),
        };
        let chosen = [
            self.one_by_one.then_some(branches),
            self.tiling.map(tiles),
            weights.map(ToOwned::to_owned),
        ];
        chosen.into_iter().flatten().collect()
    }

    /// How the branches of an edit with these options run.
    pub(super) fn branches(&self, options: &EditOptions) -> BranchExecution {
        if self.one_by_one {
            BranchExecution::OneByOne
        } else {
            options.branches
        }
    }

    /// By what parts the pictures of an edit with these options go through the autoencoder.
    pub(super) fn vae(&self, options: &EditOptions) -> VaeOptions {
        VaeOptions {
            tiling: options.vae.tiling.or(self.tiling),
            ..options.vae
        }
    }
}

/// A network with its weights, or none before it is needed.
#[derive(Debug)]
pub(super) enum Held<T> {
    Always(T),
    WhenNeeded,
}

impl<T: Clone> Held<T> {
    /// A network that stays if `stays`, as `load` loads it.
    pub(super) fn new(stays: bool, load: impl FnOnce() -> Result<T>) -> Result<Self> {
        Ok(if stays {
            Self::Always(load()?)
        } else {
            Self::WhenNeeded
        })
    }

    /// The network: a handle to the weights that stay, or what `load` loads.
    fn get(&self, load: impl FnOnce() -> Result<T>) -> Result<T> {
        match self {
            Self::Always(network) => Ok(network.clone()),
            Self::WhenNeeded => load(),
        }
    }

    /// The network if it stays, changed; one that does not will be read as it is to be.
    pub(super) fn changed(&self, change: impl FnOnce(&T) -> Result<T>) -> Result<Self> {
        match self {
            Self::Always(network) => Ok(Self::Always(change(network)?)),
            Self::WhenNeeded => Ok(Self::WhenNeeded),
        }
    }
}

impl Model {
    /// Says what its edits do for less memory: default nothing.
    ///
    /// [`Self::plan_memory`] says what keeps edits within a budget.
    #[must_use]
    pub fn with_saving(mut self, saving: Saving) -> Self {
        self.saving = saving;
        self
    }

    /// What its edits do for less memory, whatever their options say.
    #[must_use]
    pub fn saving(&self) -> Saving {
        self.saving
    }

    /// The precision of the autoencoder, which may need another than the rest.
    pub(super) fn vae_precision(&self, precision: Precision) -> Precision {
        match precision {
            Precision::F16 if self.profile.upcast_vae => Precision::F32,
            precision => precision,
        }
    }

    pub(super) fn load_text_encoders(
        &self,
        device: &Device,
        precision: Precision,
        progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<TextEncoders> {
        let (state, checkpoint) = (self.profile.text_state, &self.checkpoint);
        let encoders =
            TextEncoders::load(&self.text, state, checkpoint, device, precision, progress)?;
        Ok(encoders.with_words(self, device))
    }

    pub(super) fn load_vae(
        &self,
        device: &Device,
        precision: Precision,
        progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<Autoencoder> {
        let (vae, precision) = (self.vae.init(device), self.vae_precision(precision));
        let loaded = (self.checkpoint).load(vae, Component::Vae, precision, progress)?;
        Ok(loaded.0)
    }

    pub(super) fn load_unet(
        &self,
        device: &Device,
        precision: Precision,
        progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<UNet2DConditionModel> {
        let (unet, checkpoint) = (self.unet.init(device), &self.checkpoint);
        let loaded = match precision {
            Precision::Int8 => {
                let mut then = Quantizer::default();
                checkpoint.load_mapped(unet, Component::Unet, precision, progress, &mut then)
            }
            _ => checkpoint.load(unet, Component::Unet, precision, progress),
        };
        Ok(loaded?.0)
    }
}

impl Editor {
    pub(super) fn text_encoders(&self) -> Result<TextEncoders> {
        let (device, precision) = (&self.device, self.precision);
        (self.text_encoders).get(|| {
            self.model
                .load_text_encoders(device, precision, &mut |_| ())
        })
    }

    pub(super) fn vae(&self) -> Result<Autoencoder> {
        let (device, precision) = (&self.device, self.precision);
        (self.vae).get(|| self.model.load_vae(device, precision, &mut |_| ()))
    }

    pub(super) fn unet(&self) -> Result<UNet2DConditionModel> {
        let (device, precision) = (&self.device, self.precision);
        (self.unet).get(|| self.model.load_unet(device, precision, &mut |_| ()))
    }
}
