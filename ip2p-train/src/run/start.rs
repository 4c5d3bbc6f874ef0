//! What a training of the edit begins with: the networks of its checkpoint, those that learn on a device with autodiff.

use std::fs;

use burn::module::Module;
use burn::tensor::Device;
use ip2p::io::{Checkpoint, Component, Tokenizer};
use ip2p::models::clip::{CLIPTextConfig, CLIPTextModel};
use ip2p::models::layers::{Conv2d, Conv2dConfig};
use ip2p::models::unet::{UNet2DConditionConfig, UNet2DConditionModel};
use ip2p::models::vae::{Autoencoder, AutoencoderConfig};
use ip2p::sched::NoiseSchedule;
use ip2p::{Error, Model, Precision, Result, check_precision};

use super::settings::EditRun;
use super::widen::Widened;
use crate::edit::EditNetworks;
use crate::initial;
use crate::origin::Origin;

/// What the seed of the text encoder's first weights differs by from that of the U-Net's.
const OF_TEXT: u64 = 0x7E << 32;

/// And that of the layer that reads where the edit is.
const OF_MASK: u64 = 0x3A << 32;

/// The parts of a checkpoint, ready to be trained as the settings say.
pub(super) struct Start {
    pub(super) networks: EditNetworks,
    pub(super) vae: Autoencoder,
    pub(super) tokenizer: Tokenizer,
    pub(super) schedule: NoiseSchedule,
    /// The checkpoint, as that of the networks.
    pub(super) checkpoint: Checkpoint,
    /// What the networks ask that the sides of pictures are multiples of.
    pub(super) size_step: u32,
    /// What a state must have been begun with to be gone on from.
    pub(super) origin: Origin,
    /// Where the networks are.
    pub(super) device: Device,
}

impl Start {
    /// Reads the checkpoint.
    ///
    /// # Errors
    ///
    /// Those of [`Model::open`] and of loading its weights; [`Error::InvalidSetting`] if the settings do not suit it.
    pub(super) fn open(run: &EditRun, device: &Device) -> Result<Self> {
        let widened = Widened::open(&run.model)?;
        let checkpoint = &widened.checkpoint;
        let model = Model::from_checkpoint(checkpoint.clone())?;
        run.check(&model)?;
        check_precision(device, run.precision)?;
        let vae = AutoencoderConfig::from_json(checkpoint.config(Component::Vae))?.init(device);
        let (vae, _) = checkpoint.load(vae, Component::Vae, Precision::F32, &mut |_| ())?;
        let device = tracked(run, device);
        let networks = EditNetworks {
            text_encoder: text_encoder(run, checkpoint, &device)?,
            unet: unet(run, &widened, &device)?,
            mask_head: mask_head(run, &widened.checkpoint, &device)?,
        };
        Ok(Self {
            networks,
            vae,
            tokenizer: checkpoint.tokenizer()?,
            schedule: NoiseSchedule::new(model.profile())?,
            origin: origin(run, checkpoint)?,
            checkpoint: widened.checkpoint,
            size_step: model.size_step().required,
            device,
        })
    }
}

/// The device with autodiff as the settings ask for it.
fn tracked(run: &EditRun, device: &Device) -> Device {
    let device = device.clone().autodiff();
    if run.gradient_checkpointing {
        device.gradient_checkpointing()
    } else {
        device
    }
}

/// What a training has in common with its states: the weights that it began with, and the adaptation.
fn origin(run: &EditRun, checkpoint: &Checkpoint) -> Result<Origin> {
    let components: Vec<_> = Component::ALL
        .into_iter()
        .filter(|&component| has_weights(run, component))
        .collect();
    let fingerprint = checkpoint.fingerprint_of(&components, Precision::F32)?;
    let model = format!("{} ({})", run.model.display(), &fingerprint[..12]);
    let lora = run.lora.as_ref();
    let lora = lora.map_or_else(
        || "none".to_owned(),
        |lora| lora.summary(run.train_text_encoder),
    );
    Ok(Origin::default()
        .with("model", fingerprint, model)
        .with("lora", lora.clone(), lora))
}

fn unet(run: &EditRun, widened: &Widened, device: &Device) -> Result<UNet2DConditionModel> {
    let component = Component::Unet;
    let config = UNet2DConditionConfig::from_json(widened.checkpoint.config(component))?;
    let mut unet = widened.from.as_ref().unwrap_or(&config).init(device);
    if has_weights(run, component) {
        let weights = widened.checkpoint.weights(component, Precision::F32)?;
        (unet, _) = weights.load(unet, Precision::F32, &mut |_| ())?;
    } else if run.lora.is_some() {
        let reason = "has no weights, and factors are added to weights that were trained; leave lora out, or begin with a \
                      checkpoint whose U-Net is trained";
        return Err(Error::checkpoint(run.model.join(component.name()), reason));
    } else {
        unet = initial::drawn(unet, run.seed);
    }
    if widened.from.is_some() {
        unet = unet.widened(Widened::IN_CHANNELS);
    }
    match &run.lora {
        None => Ok(unet),
        Some(lora) if widened.from.is_some() && !lora.adapts("conv_in") => {
            let expected = "with \"conv_in\", for the U-Net of this checkpoint takes no picture yet, and must learn to";
            let got = lora.target_modules.join(", ");
            Err(Error::setting("lora.target_modules", expected, got))
        }
        Some(lora) => lora.attach(unet, run.seed),
    }
}

fn text_encoder(run: &EditRun, checkpoint: &Checkpoint, device: &Device) -> Result<CLIPTextModel> {
    let component = Component::TextEncoder;
    let config = CLIPTextConfig::from_json(checkpoint.config(component))?;
    let text_encoder = config.init(device);
    if !has_weights(run, component) {
        if run.train_text_encoder && run.lora.is_none() {
            return Ok(initial::drawn(text_encoder, run.seed ^ OF_TEXT));
        }
        let reason = "has no weights, and a frozen text encoder learns none; leave lora out and set train_text_encoder to true, or begin with a \
                      checkpoint whose text encoder is trained";
        return Err(Error::checkpoint(run.model.join(component.name()), reason));
    }
    let (text_encoder, _) =
        checkpoint.load(text_encoder, component, Precision::F32, &mut |_| ())?;
    match &run.lora {
        _ if !run.train_text_encoder => Ok(text_encoder.no_grad()),
        None => Ok(text_encoder),
        Some(lora) => lora.attach_text_encoder(text_encoder, run.seed),
    }
}

fn mask_head(run: &EditRun, checkpoint: &Checkpoint, device: &Device) -> Result<Option<Conv2d>> {
    if run.loss.mask_weight == 0.0 {
        return Ok(None);
    }
    let config = UNet2DConditionConfig::from_json(checkpoint.config(Component::Unet))?;
    let head = Conv2dConfig::same(config.levels[0].channels, 1, 3);
    Ok(Some(initial::drawn(head.init(device), run.seed ^ OF_MASK)))
}

/// Whether there are weights of a network, which may also begin at random.
fn has_weights(run: &EditRun, component: Component) -> bool {
    let folder = run.model.join(component.name());
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names = files.map(|file| file.file_name());
    names.any(|name| name.to_string_lossy().ends_with(".safetensors"))
}
