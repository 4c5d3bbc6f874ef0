//! A U-Net whose largest layers are made of whole numbers.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::Tensor;

use super::UNet2DConditionModel;

impl UNet2DConditionModel {
    /// Puts the weights of the layers that take the time into whole numbers of 8 bits, on the CPU: those that a [`Quantizer`] does.
    #[must_use]
    pub fn quantize(self) -> Self {
        self.map(&mut Quantizer::default())
    }
}

/// Puts the weights of a [`UNet2DConditionModel`] into whole numbers of 8 bits, on the CPU: those of all linear layers and convolutions
/// but the first and the last, those of stride 2 and those of the time, see [`ip2p_kernels::quantize`].
///
/// The layers that make keys and values of the sentence stay as they are: they compute once an edit, and every step sees what they say.
#[derive(Debug, Default)]
pub struct Quantizer {
    /// Where in the network the walk is.
    path: Vec<String>,
}

impl Quantizer {
    /// Whether weights of this name and of so many axes are put into whole numbers.
    #[must_use]
    pub fn takes(name: &str, axes: usize) -> bool {
        let is_in = |part: &str| name.split('.').any(|of| of == part);
        let of_sentence = is_in("attn2") && (is_in("to_k") || is_in("to_v"));
        match axes {
            2 => (is_in("transformer_blocks") || is_projection(name)) && !of_sentence,
            4 => is_in("resnets") || is_in("upsamplers") || is_projection(name),
            _ => false,
        }
    }
}

/// Whether weights of this name are a way into or out of a transformer.
fn is_projection(name: &str) -> bool {
    name.split('.')
        .any(|of| of == "proj_in" || of == "proj_out")
}

impl ModuleMapper for Quantizer {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.path.join(".");
        if !Self::takes(&name, D) {
            param
        } else if D == 4 && is_projection(&name) {
            param.map(ip2p_kernels::quantize_pointwise)
        } else {
            param.map(ip2p_kernels::quantize)
        }
    }
}
