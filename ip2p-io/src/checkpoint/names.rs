//! The names of weights: the checkpoint's keys against the networks' fields.
//!
//! The networks' fields are spelt like the keys that diffusers writes, so that a parameter's path *is* its key. What is
//! left is bridged here, on either side, and nowhere else.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;

use super::Component;

/// The module type whose `weight` PyTorch stores transposed.
const LINEAR: &str = "Struct:Linear";

/// Module types whose `gamma` and `beta` PyTorch calls `weight` and `bias`.
const NORMS: [&str; 2] = ["Struct:GroupNorm", "Struct:LayerNorm"];

/// What diffusers called the projections of the VAE's attention before 0.17, and calls them since.
const OLD_ATTENTION: [(&str, &str); 4] = [
    ("query", "to_q"),
    ("key", "to_k"),
    ("value", "to_v"),
    ("proj_attn", "to_out.0"),
];

/// The one name that all spellings of a checkpoint's key share, or [`None`] for a buffer that is no weight.
///
/// - `text_encoder`, `text_encoder_2`: without the prefix `text_model.`, which transformers 5 no longer writes. `position_ids` counts
///   from 0 to 76 and is stored by transformers before 4.31: the network needs no such table.
/// - `vae`: the attention's projections by their new names.
pub(crate) fn canonical(component: Component, key: &str) -> Option<String> {
    match component {
        Component::TextEncoder | Component::TextEncoder2 => {
            let is_buffer = key.rsplit('.').next() == Some("position_ids");
            let name = key.strip_prefix("text_model.").unwrap_or(key);
            (!is_buffer).then(|| name.to_owned())
        }
        Component::Vae if key.contains("attentions.") => {
            Some(key.split('.').map(renamed).collect::<Vec<_>>().join("."))
        }
        Component::Unet | Component::Vae => Some(key.to_owned()),
    }
}

/// One part of a key of the VAE's attention, by its new name.
fn renamed(segment: &str) -> &str {
    OLD_ATTENTION
        .iter()
        .find(|(old, _)| *old == segment)
        .map_or(segment, |(_, new)| new)
}

/// Where a walk through a module stands.
#[derive(Debug, Default)]
pub(crate) struct Place {
    path: Vec<String>,
    containers: Vec<String>,
}

impl Place {
    pub(crate) fn enter(&mut self, name: &str, container: &str) {
        self.path.push(name.to_owned());
        self.containers.push(container.to_owned());
    }

    pub(crate) fn exit(&mut self) {
        self.path.pop();
        self.containers.pop();
    }

    /// The name of the parameter that the walk stands at, as [`canonical`] spells it.
    pub(crate) fn name(&self, component: Component) -> String {
        let key = self.key();
        canonical(component, &key).unwrap_or(key)
    }

    /// The key that diffusers gives the parameter that the walk stands at.
    pub(crate) fn key(&self) -> String {
        let is_norm = NORMS.contains(&self.module_type());
        let last = self.path.len().saturating_sub(1);
        let segments = self.path.iter().zip(&self.containers).enumerate();
        segments
            // PyTorch knows no enums: what a variant holds stands where the enum stands.
            .filter(|(_, (_, container))| !container.starts_with("Enum:"))
            .map(|(i, (segment, _))| match segment.as_str() {
                "gamma" if is_norm && i == last => "weight",
                "beta" if is_norm && i == last => "bias",
                segment => segment,
            })
            .collect::<Vec<_>>()
            .join(".")
    }

    /// Whether the parameter is the matrix of a linear layer.
    pub(crate) fn is_linear_weight(&self) -> bool {
        self.module_type() == LINEAR && self.path.last().is_some_and(|name| name == "weight")
    }

    /// The innermost module type, collections passed over.
    fn module_type(&self) -> &str {
        self.containers
            .iter()
            .rev()
            .find(|container| container.starts_with("Struct:"))
            .map_or("", String::as_str)
    }
}

/// A parameter of a network, by both of its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterName {
    /// Its path through the module, as a walk through it has it.
    pub path: String,
    /// The key that diffusers gives it.
    pub key: String,
    /// Its shape in the module.
    pub shape: Vec<usize>,
    /// Whether it is the matrix of a linear layer, which diffusers has transposed.
    pub is_linear_weight: bool,
}

impl ParameterName {
    /// diffusers' name of the linear layer or convolution that this is the weight of, to which low-rank factors can be added.
    #[must_use]
    pub fn layer(&self) -> Option<&str> {
        let is_convolution = self.shape.len() == 4;
        (self.is_linear_weight || is_convolution)
            .then(|| self.key.strip_suffix(".weight"))
            .flatten()
    }
}

/// The parameters of a network, in the order of a walk through it; none draws its first values.
#[must_use]
pub fn parameter_names<M: Module>(module: &M) -> Vec<ParameterName> {
    let mut names = Names::default();
    module.visit(&mut names);
    names.found
}

#[derive(Default)]
struct Names {
    place: Place,
    found: Vec<ParameterName>,
}

impl ModuleVisitor for Names {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.place.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.place.exit();
    }

    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        self.found.push(ParameterName {
            path: self.place.path.join("."),
            key: self.place.key(),
            shape: parameter.lazy_shape().to_vec(),
            is_linear_weight: self.place.is_linear_weight(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_keys_are_the_same_with_and_without_their_prefix() {
        let name = |key| canonical(Component::TextEncoder, key);
        let expected = Some("final_layer_norm.weight".to_owned());
        assert_eq!(name("text_model.final_layer_norm.weight"), expected);
        assert_eq!(name("final_layer_norm.weight"), expected);
        assert_eq!(name("text_model.embeddings.position_ids"), None);
        assert_eq!(name("embeddings.position_ids"), None);
        assert!(name("embeddings.position_embedding.weight").is_some());
    }

    #[test]
    fn only_the_attention_of_the_vae_is_renamed() {
        let name = |component, key| canonical(component, key).unwrap();
        let old = "encoder.mid_block.attentions.0.proj_attn.weight";
        let new = "encoder.mid_block.attentions.0.to_out.0.weight";
        assert_eq!(name(Component::Vae, old), new);
        assert_eq!(name(Component::Vae, new), new);
        assert_eq!(name(Component::Vae, "key.value"), "key.value");
        assert_eq!(name(Component::Unet, old), old);
    }

    #[test]
    fn norms_and_enums_are_spelt_as_in_pytorch() {
        let mut place = Place::default();
        place.enter("blocks", "Struct:Unet");
        place.enter("1", "Vec");
        place.enter("CrossAttention", "Enum:Block");
        place.enter("norm", "Struct:CrossAttentionBlock");
        place.enter("gamma", "Struct:GroupNorm");
        assert_eq!(place.name(Component::Unet), "blocks.1.norm.weight");
        assert!(!place.is_linear_weight());
        place.exit();
        place.enter("gamma", "Struct:LayerScale");
        assert_eq!(place.name(Component::Unet), "blocks.1.norm.gamma");
    }
}
