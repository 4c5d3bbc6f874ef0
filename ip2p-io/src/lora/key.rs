//! The keys of a file of low-rank adaptations: which layer, and which part of what is added to it.
//!
//! Trainers spell the same thing in many ways: kohya's `lora_unet_mid_block_attentions_0_proj_in.lora_down.weight`, diffusers'
//! `unet.mid_block.attentions.0.proj_in.lora_A.weight`, its older `….attn1.processor.to_q_lora.down.weight`, PEFT's
//! `base_model.model.…`, LyCORIS' `….hada_w1_a`.

use crate::checkpoint::Component;

/// What a tensor of the file is of the sum that is added to a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Down,
    Up,
    Mid,
    Alpha,
    /// The lengths of the weight's rows, PEFT's.
    Magnitude,
    /// The lengths of the weight's rows or columns, LyCORIS'.
    DoraScale,
    Hada1A,
    Hada1B,
    HadaT1,
    Hada2A,
    Hada2B,
    HadaT2,
    Lokr1,
    Lokr1A,
    Lokr1B,
    Lokr2,
    Lokr2A,
    Lokr2B,
    LokrT2,
    Diff,
    DiffBias,
    /// A bias that counts as the product does.
    UpBias,
}

impl Part {
    /// How the commonest of its keys end.
    pub(super) fn name(self) -> &'static str {
        let found = ENDS.iter().find(|(_, part)| *part == self);
        found.map_or("", |(end, _)| end.trim_start_matches('.'))
    }
}

/// How keys end, and what they are; of two that fit, the first.
const ENDS: [(&str, Part); 35] = [
    (".lora_down.weight", Part::Down),
    (".lora_up.weight", Part::Up),
    (".lora_mid.weight", Part::Mid),
    (".lora_A.weight", Part::Down),
    (".lora_B.weight", Part::Up),
    (".lora_A.default.weight", Part::Down),
    (".lora_B.default.weight", Part::Up),
    (".lora_B.bias", Part::UpBias),
    (".lora_linear_layer.down.weight", Part::Down),
    (".lora_linear_layer.up.weight", Part::Up),
    (".lora.down.weight", Part::Down),
    (".lora.up.weight", Part::Up),
    ("_lora.down.weight", Part::Down),
    ("_lora.up.weight", Part::Up),
    (".alpha", Part::Alpha),
    (".lora_magnitude_vector.default.weight", Part::Magnitude),
    (".lora_magnitude_vector.weight", Part::Magnitude),
    (".lora_magnitude_vector", Part::Magnitude),
    (".dora_scale", Part::DoraScale),
    (".hada_w1_a", Part::Hada1A),
    (".hada_w1_b", Part::Hada1B),
    (".hada_t1", Part::HadaT1),
    (".hada_w2_a", Part::Hada2A),
    (".hada_w2_b", Part::Hada2B),
    (".hada_t2", Part::HadaT2),
    (".lokr_w1", Part::Lokr1),
    (".lokr_w1_a", Part::Lokr1A),
    (".lokr_w1_b", Part::Lokr1B),
    (".lokr_w2", Part::Lokr2),
    (".lokr_w2_a", Part::Lokr2A),
    (".lokr_w2_b", Part::Lokr2B),
    (".lokr_t2", Part::LokrT2),
    (".diff", Part::Diff),
    (".diff_b", Part::DiffBias),
    // What kohya's older files call the full difference.
    (".diff.weight", Part::Diff),
];

/// How keys begin, and whose weights they are of.
const BEGINNINGS: [(&str, Component); 11] = [
    ("lora_unet_", Component::Unet),
    ("lora_te_", Component::TextEncoder),
    ("lora_te1_", Component::TextEncoder),
    ("lora_te2_", Component::TextEncoder2),
    ("unet.", Component::Unet),
    ("text_encoder.", Component::TextEncoder),
    ("text_encoder_2.", Component::TextEncoder2),
    ("diffusion_model.", Component::Unet),
    ("text_model.", Component::TextEncoder),
    ("encoder.layers.", Component::TextEncoder),
    ("embeddings.", Component::TextEncoder),
];

/// How keys begin that are of other architectures, and which.
const OTHERS: [(&str, &str); 6] = [
    (
        "lora_transformer_",
        "a transformer such as Stable Diffusion 3 or Flux",
    ),
    (
        "transformer.",
        "a transformer such as Stable Diffusion 3 or Flux",
    ),
    ("lora_unet_double_blocks_", "Flux"),
    ("lora_unet_joint_blocks_", "Stable Diffusion 3"),
    ("lora_prior_", "Stable Cascade"),
    ("lora_vae_", "an autoencoder"),
];

/// How keys begin that only files for Stable Diffusion XL have.
const XL: [&str; 3] = ["lora_te1_", "lora_te2_", "text_encoder_2."];

/// A key that is understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) component: Component,
    /// The layer, with points or underscores as the file has it, without what says whose it is.
    pub(super) layer: String,
    pub(super) part: Part,
}

impl Key {
    /// Reads a key, or [`None`] if it is not of this kind of file.
    pub(super) fn parse(key: &str) -> Option<Self> {
        let (layer, part) = ENDS
            .iter()
            .find_map(|&(end, part)| Some((key.strip_suffix(end)?, part)))?;
        let layer = layer.strip_prefix("base_model.model.").unwrap_or(layer);
        let found = BEGINNINGS.iter().find_map(|&(beginning, component)| {
            Some((component, layer.strip_prefix(beginning)?, beginning))
        });
        let (component, layer) = match found {
            // These are parts of the layer's name, and not only say whose it is.
            Some((component, _, "encoder.layers." | "embeddings.")) => (component, layer),
            Some((component, layer, _)) => (component, layer),
            // diffusers' first files are of the U-Net alone and do not say so.
            None => (Component::Unet, layer),
        };
        Some(Self {
            component,
            layer: in_network(component, layer),
            part,
        })
    }
}

/// Whether a tensor of this name is part of an adaptation.
pub(crate) fn is_lora_key(key: &str) -> bool {
    Key::parse(key).is_some()
}

/// Whether a key is of a file for Stable Diffusion XL.
pub(super) fn is_of_xl(key: &str) -> bool {
    XL.iter().any(|beginning| key.starts_with(beginning))
}

/// The architecture that a key is of, if it is not Stable Diffusion.
pub(super) fn other_architecture(key: &str) -> Option<&'static str> {
    let found = OTHERS
        .iter()
        .find(|(beginning, _)| key.starts_with(beginning));
    found.map(|&(_, architecture)| architecture)
}

/// A layer's name as the network has it.
fn in_network(component: Component, layer: &str) -> String {
    if Component::TEXT.contains(&component) {
        let inner = ["text_model.", "text_model_"]
            .iter()
            .find_map(|prefix| layer.strip_prefix(prefix));
        return inner.unwrap_or(layer).to_owned();
    }
    let mut layer = layer.replace(".processor.", ".");
    // The first files named the projection by the list that it is the first of.
    if layer.ends_with(".to_out") {
        layer.push_str(".0");
    }
    layer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_says_layer_and_part() {
        let (unet, text) = (Component::Unet, Component::TextEncoder);
        for (key, component, layer, part) in [
            (
                "lora_unet_mid_block_attentions_0_proj_in.lora_down.weight",
                unet,
                "mid_block_attentions_0_proj_in",
                Part::Down,
            ),
            (
                "lora_unet_conv_in.lora_mid.weight",
                unet,
                "conv_in",
                Part::Mid,
            ),
            ("lora_unet_conv_in.hada_w1_a", unet, "conv_in", Part::Hada1A),
            ("lora_unet_conv_in.lokr_w1", unet, "conv_in", Part::Lokr1),
            ("lora_unet_conv_in.lokr_w1_b", unet, "conv_in", Part::Lokr1B),
            (
                "lora_te_text_model_encoder_layers_0_mlp_fc1.alpha",
                text,
                "encoder_layers_0_mlp_fc1",
                Part::Alpha,
            ),
            (
                "unet.a.attn1.to_q.lora_A.weight",
                unet,
                "a.attn1.to_q",
                Part::Down,
            ),
            (
                "unet.a.attn1.to_q.lora.up.weight",
                unet,
                "a.attn1.to_q",
                Part::Up,
            ),
            (
                "unet.a.attn1.processor.to_q_lora.up.weight",
                unet,
                "a.attn1.to_q",
                Part::Up,
            ),
            (
                "a.attn2.processor.to_out_lora.down.weight",
                unet,
                "a.attn2.to_out.0",
                Part::Down,
            ),
            (
                "a.attn2.to_q.lora_magnitude_vector",
                unet,
                "a.attn2.to_q",
                Part::Magnitude,
            ),
            (
                "text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_linear_layer.up.weight",
                text,
                "encoder.layers.0.self_attn.q_proj",
                Part::Up,
            ),
            (
                "base_model.model.conv_in.lora_B.weight",
                unet,
                "conv_in",
                Part::Up,
            ),
            (
                "base_model.model.text_model.encoder.layers.1.mlp.fc2.lora_A.weight",
                text,
                "encoder.layers.1.mlp.fc2",
                Part::Down,
            ),
            (
                "base_model.model.encoder.layers.1.mlp.fc2.lora_A.weight",
                text,
                "encoder.layers.1.mlp.fc2",
                Part::Down,
            ),
            (
                "diffusion_model.input_blocks.0.0.lora_A.weight",
                unet,
                "input_blocks.0.0",
                Part::Down,
            ),
        ] {
            let expected = Key {
                component,
                layer: layer.into(),
                part,
            };
            assert_eq!(Key::parse(key), Some(expected), "{key}");
        }
    }

    #[test]
    fn keys_of_xl_say_which_text_encoder() {
        let (first, second) = (Component::TextEncoder, Component::TextEncoder2);
        for (key, component, layer, part) in [
            (
                "lora_te1_text_model_encoder_layers_0_mlp_fc1.alpha",
                first,
                "encoder_layers_0_mlp_fc1",
                Part::Alpha,
            ),
            (
                "lora_te2_text_model_encoder_layers_31_mlp_fc2.lora_up.weight",
                second,
                "encoder_layers_31_mlp_fc2",
                Part::Up,
            ),
            (
                "text_encoder_2.text_model.encoder.layers.0.mlp.fc1.lora_A.weight",
                second,
                "encoder.layers.0.mlp.fc1",
                Part::Down,
            ),
        ] {
            let expected = Key {
                component,
                layer: layer.into(),
                part,
            };
            assert_eq!(Key::parse(key), Some(expected), "{key}");
        }
    }

    #[test]
    fn what_is_no_such_key_is_none() {
        for key in [
            "",
            "conv_in.weight",
            "lora_unet_conv_in.lora_down.bias",
            "emb_params",
        ] {
            assert_eq!(Key::parse(key), None, "{key}");
        }
    }

    #[test]
    fn keys_of_other_architectures_are_known() {
        assert_eq!(
            other_architecture("lora_unet_double_blocks_0.alpha"),
            Some("Flux")
        );
        assert_eq!(other_architecture("lora_te_text_model_x.alpha"), None);
        assert!(is_of_xl("lora_te2_text_model_x.alpha"));
        assert!(!is_of_xl("lora_te_text_model_x.alpha"));
    }
}
