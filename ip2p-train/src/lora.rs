//! Low-rank adaptation: a network's matrices stay as they are, and the product of two narrow ones, which learn, is added.
//!
//! Hu et al. (2022), <https://arxiv.org/abs/2106.09685>: `W + alpha / rank · B A`. burn attaches such a product to any parameter,
//! so that the networks know nothing of it, and merges it; what is ours is which parameters get one, by the names and rules
//! of diffusers and PEFT, convolutions among them, and the file that diffusers reads.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use burn::module::{LoraAdapter, Module, Param, Reparameterizer};
use burn::tensor::{DType, Device, Tensor, TensorData};
use ip2p::io::{ParameterName, parameter_names, write_whole};
use ip2p::{Error, Result};
use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::check;
use crate::edit::EditNetworks;
use crate::parameters;

/// What the seed of the first factors differs by from that of the training.
const FACTORS: u64 = 0x10_2A;

/// What the seed of those of the text encoder differs by from that of the U-Net's.
const OF_TEXT: u64 = 0x7E << 32;

/// Shapes and bytes of factors by their keys.
type Factors = BTreeMap<String, (Vec<usize>, Vec<u8>)>;

/// Which matrices are adapted, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoraOptions {
    /// The width of the factors: default 4.
    pub rank: usize,
    /// The product counts `alpha / rank`: default as much as the rank.
    pub alpha: Option<f64>,
    /// The U-Net's layers, linear or convolutions, by the ends of their names in diffusers: default the matrices of attention.
    pub target_modules: Vec<String>,
    /// The same of the text encoder, if that learns too: default the matrices of attention.
    pub text_encoder_target_modules: Vec<String>,
}

impl Default for LoraOptions {
    fn default() -> Self {
        Self {
            rank: 4,
            alpha: None,
            target_modules: ["to_q", "to_k", "to_v", "to_out.0"].map(Into::into).into(),
            text_encoder_target_modules: ["q_proj", "k_proj", "v_proj", "out_proj"]
                .map(Into::into)
                .into(),
        }
    }
}

impl LoraOptions {
    /// The numerator of the product's factor.
    fn alpha(&self) -> f64 {
        self.alpha.unwrap_or(self.rank as f64)
    }

    /// # Errors
    ///
    /// [`Error::InvalidSetting`] if rank or alpha make no sense.
    pub(crate) fn check(&self) -> Result<()> {
        check::at_least_one(&[
            ("lora.rank", self.rank as u64),
            ("lora.target_modules", self.target_modules.len() as u64),
            (
                "lora.text_encoder_target_modules",
                self.text_encoder_target_modules.len() as u64,
            ),
        ])?;
        check::within("lora.alpha", self.alpha(), f64::MIN_POSITIVE, f64::MAX)
    }

    /// Whether a layer of the U-Net of this name in diffusers is adapted: PEFT's rule.
    #[must_use]
    pub fn adapts(&self, layer: &str) -> bool {
        self.target_modules
            .iter()
            .any(|target| is_target(target, layer))
    }

    /// The settings in one line, to be compared and shown.
    pub(crate) fn summary(&self, train_text_encoder: bool) -> String {
        let mut text = format!(
            "rank {}, alpha {}, target_modules {}",
            self.rank,
            self.alpha(),
            self.target_modules.join(" ")
        );
        if train_text_encoder {
            text += ", text_encoder_target_modules ";
            text += &self.text_encoder_target_modules.join(" ");
        }
        text
    }

    /// A U-Net with factors at the layers that are adapted, which alone require gradients.
    ///
    /// As in PEFT, A is drawn from a Kaiming-uniform distribution, `±1 / √fan_in`, and B is zero, so that the module computes what
    /// it computed.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] if a setting makes no sense, or a name is of no linear layer and no convolution.
    pub fn attach<M: Module>(&self, unet: M, seed: u64) -> Result<M> {
        let targets = ("lora.target_modules", &self.target_modules[..]);
        self.attach_to(unet, targets, seed)
    }

    /// As [`Self::attach`], a text encoder.
    ///
    /// # Errors
    ///
    /// As [`Self::attach`].
    pub fn attach_text_encoder<M: Module>(&self, text_encoder: M, seed: u64) -> Result<M> {
        let targets = &self.text_encoder_target_modules[..];
        let targets = ("lora.text_encoder_target_modules", targets);
        self.attach_to(text_encoder, targets, seed ^ OF_TEXT)
    }

    fn attach_to<M: Module>(
        &self,
        module: M,
        (setting, targets): (&'static str, &[String]),
        seed: u64,
    ) -> Result<M> {
        self.check()?;
        let names = parameter_names(&module);
        let layers = || names.iter().filter_map(|name| Some((name.layer()?, name)));
        for target in targets {
            if !layers().any(|(layer, _)| is_target(target, layer)) {
                let expected = "the names of linear layers or convolutions of the network";
                return Err(Error::setting(setting, expected, target));
            }
        }
        let paths = layers()
            .filter(|(layer, _)| targets.iter().any(|target| is_target(target, layer)))
            .map(|(_, name)| name.path.clone());
        Ok(module.apply_reparameterization(Attach {
            paths: paths.collect(),
            rank: self.rank,
            scale: self.alpha() / self.rank as f64,
            rng: ip2p_data::rng(seed ^ FACTORS, 0),
        }))
    }

    /// Writes the factors of the networks, as diffusers' `load_lora_weights` reads them: those of the U-Net and, if it has any, of the
    /// text encoder.
    ///
    /// A and B are `unet.<layer>.lora_A.weight` and `lora_B.weight` in PyTorch's layout, or `text_encoder.text_model.<layer>…`;
    /// rank and alpha are in the metadata.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be written: an earlier one of that name is then still what it was.
    ///
    /// # Panics
    ///
    /// If a factor is not `f32`.
    pub fn save(&self, networks: &EditNetworks, path: impl AsRef<Path>) -> Result<()> {
        let mut tensors = self.factors(&networks.unet, "unet");
        let of_text = self.factors(&networks.text_encoder, "text_encoder");
        let mut settings = self.settings("unet", &self.target_modules);
        if !of_text.is_empty() {
            let modules = &self.text_encoder_target_modules;
            settings.append(&mut self.settings("text_encoder", modules));
        }
        tensors.extend(of_text);
        let views = tensors.iter().map(|(key, (shape, bytes))| {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
            (key, view.expect("as many bytes as the shape has"))
        });
        let metadata = HashMap::from([
            ("format".to_owned(), "pt".to_owned()),
            (
                "lora_adapter_metadata".to_owned(),
                Value::Object(settings).to_string(),
            ),
        ]);
        let bytes = safetensors::serialize(views, Some(metadata))
            .map_err(|error| Error::other("cannot put the factors together", error))?;
        write_whole(path, &bytes)
    }

    /// What PEFT is told of the factors of a network.
    fn settings(&self, network: &str, modules: &[String]) -> Map<String, Value> {
        Map::from_iter([
            (format!("{network}.r"), json!(self.rank)),
            (format!("{network}.lora_alpha"), json!(self.alpha())),
            (format!("{network}.target_modules"), json!(modules)),
        ])
    }

    /// The factors of a network by their keys in the file: shape and bytes.
    fn factors<M: Module>(&self, module: &M, network: &str) -> Factors {
        let values = parameters::values(module);
        let mut tensors = Factors::new();
        for name in &parameter_names(module) {
            let factor = |factor: &str| values.get(&format!("{}.lora.{factor}", name.path));
            let (Some(layer), Some(a), Some(b)) = (name.layer(), factor("a"), factor("b")) else {
                continue;
            };
            for (factor, (shape, values)) in
                ["A", "B"]
                    .into_iter()
                    .zip(self.in_pytorch(name, a.clone(), b.clone()))
            {
                let data = values.into_data();
                assert_eq!(data.dtype(), DType::F32, "factors are f32");
                let key = format!("{network}.{layer}.lora_{factor}.weight");
                tensors.insert(key, (shape, data.as_bytes().to_vec()));
            }
        }
        tensors
    }

    /// A and B of a layer in PyTorch's layout, from burn's two factors.
    fn in_pytorch(
        &self,
        weight: &ParameterName,
        a: Tensor<1>,
        b: Tensor<1>,
    ) -> [(Vec<usize>, Tensor<2>); 2] {
        let rank = self.rank;
        let [rows, columns] = matrix(&weight.shape);
        let (a, b) = (a.reshape([rows, rank]), b.reshape([rank, columns]));
        match weight.shape[..] {
            [_, i, height, width] => [
                (vec![rank, i, height, width], b),
                (vec![rows, rank, 1, 1], a),
            ],
            _ => [
                (vec![rank, rows], a.transpose()),
                (vec![columns, rank], b.transpose()),
            ],
        }
    }
}

fn is_target(target: &str, layer: &str) -> bool {
    let before = layer.strip_suffix(target);
    before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

/// Rows and columns of a weight as the matrix that the factors' product is added to.
fn matrix(shape: &[usize]) -> [usize; 2] {
    [shape[0], shape[1..].iter().product()]
}

/// Freezes each parameter, and gives those that are adapted their factors.
///
/// burn's `a · b` is added to the weight as it lies in the module: `[in, out]` of a linear layer, so that `a` is A transposed; and of
/// a convolution `[out, in · height · width]`, so that `a` is B.
struct Attach {
    paths: BTreeSet<String>,
    rank: usize,
    scale: f64,
    rng: ChaCha8Rng,
}

impl Attach {
    fn uniform(&mut self, shape: [usize; 2], fan_in: usize, device: &Device) -> Tensor<2> {
        #[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
        let bound = (fan_in as f64).sqrt().recip() as f32;
        let numbers: Vec<f32> = (0..shape[0] * shape[1])
            .map(|_| self.rng.random_range(-bound..bound))
            .collect();
        Tensor::from_data(TensorData::new(numbers, shape), device)
    }
}

impl Reparameterizer for Attach {
    type Reparam = LoraAdapter;

    fn reparameterize<const D: usize>(
        &mut self,
        path: &str,
        weight: Param<Tensor<D>>,
    ) -> (Param<Tensor<D>>, Option<LoraAdapter>) {
        let weight = weight.set_require_grad(false);
        if !self.paths.contains(path) {
            return (weight, None);
        }
        let device = &weight.lazy_device();
        let [rows, columns] = matrix(&weight.lazy_shape().to_vec());
        let (down, up) = ([rows, self.rank], [self.rank, columns]);
        let (a, b) = if D == 2 {
            (self.uniform(down, rows, device), Tensor::zeros(up, device))
        } else {
            let b = self.uniform(up, columns, device);
            (Tensor::zeros(down, device), b)
        };
        let adapter = LoraAdapter {
            a: Param::from_tensor(a),
            b: Param::from_tensor(b),
            scale: self.scale,
        };
        (weight, Some(adapter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_whole_name_or_its_last_parts() {
        let options = |target: &str| LoraOptions {
            target_modules: vec![target.into()],
            ..LoraOptions::default()
        };
        assert!(options("conv_in").adapts("conv_in"));
        assert!(options("to_out.0").adapts("mid_block.attentions.0.attn1.to_out.0"));
        assert!(!options("proj").adapts("time_emb_proj"));
        assert!(!options("to_q").adapts("to_q.0"));
    }

    #[test]
    fn alpha_is_the_rank_unless_it_is_said() {
        let read = |text: &str| serde_json::from_str::<LoraOptions>(text).unwrap();
        assert_eq!(read(r#"{"rank": 8}"#).alpha(), 8.0);
        assert_eq!(read(r#"{"rank": 8, "alpha": 2}"#).alpha(), 2.0);
        assert_eq!(read("{}"), LoraOptions::default());
    }
}
