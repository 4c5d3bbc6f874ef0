//! A checkpoint folder for tests, and a small network that its weights fit.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{
    Embedding, EmbeddingConfig, GroupNorm, GroupNormConfig, LayerNorm, LayerNormConfig, Linear,
    LinearConfig,
};
use burn::tensor::{Device, Tensor};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Map, Value, json};

/// A folder in diffusers' layout, without weights, that is deleted when dropped.
#[derive(Debug)]
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for part in ["unet", "vae", "text_encoder", "tokenizer", "scheduler"] {
            fs::create_dir(folder.path().join(part)).unwrap();
        }
        let part = |class| json!(["diffusers", class]);
        let index = json!({
            "_class_name": "StableDiffusionInstructPix2PixPipeline",
            "_name_or_path": "timbrooks/instruct-pix2pix",
            "safety_checker": [null, null],
            "unet": part("UNet2DConditionModel"),
            "vae": part("AutoencoderKL"),
            "text_encoder": part("CLIPTextModel"),
            "tokenizer": part("CLIPTokenizer"),
            "scheduler": part("EulerAncestralDiscreteScheduler"),
        });
        folder.write("model_index.json", &index.to_string());
        let unet = json!({"in_channels": 8, "cross_attention_dim": 768});
        folder.write("unet/config.json", &unet.to_string());
        folder.write("vae/config.json", r#"{"scaling_factor":0.18215}"#);
        folder.write("text_encoder/config.json", "{}");
        let scheduler = json!({
            "_class_name": "EulerAncestralDiscreteScheduler",
            "beta_start": 0.00085,
            "beta_end": 0.012,
            "beta_schedule": "scaled_linear",
            "prediction_type": "epsilon",
            "num_train_timesteps": 1000,
        });
        folder.write("scheduler/scheduler_config.json", &scheduler.to_string());
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        fs::write(self.path().join(file), text).unwrap();
    }

    pub(crate) fn remove(&self, file: &str) {
        let path = self.path().join(file);
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
    }

    /// Changes one field of a JSON file.
    pub(crate) fn set(&self, file: &str, field: &str, value: Value) {
        let text = fs::read_to_string(self.path().join(file)).unwrap();
        let mut fields: Map<String, Value> = serde_json::from_str(&text).unwrap();
        fields.insert(field.into(), value);
        self.write(file, &Value::Object(fields).to_string());
    }

    /// Writes a safetensors file.
    pub(crate) fn save(&self, file: &str, tensors: &Tensors) {
        let views = tensors.0.iter().map(|(name, (dtype, shape, bytes))| {
            let view = TensorView::new(*dtype, shape.clone(), bytes).unwrap();
            (name.as_str(), view)
        });
        let bytes = safetensors::serialize(views, None).unwrap();
        fs::write(self.path().join(file), bytes).unwrap();
    }
}

/// Tensors for a safetensors file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tensors(pub(crate) BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>);

impl Tensors {
    /// Adds a tensor that holds `start`, `start + 1`, and so on.
    pub(crate) fn add(&mut self, name: &str, shape: &[usize], start: u16) {
        let count = u16::try_from(shape.iter().product::<usize>()).unwrap();
        let bytes = (start..start + count)
            .flat_map(|number| f32::from(number).to_le_bytes())
            .collect();
        self.0
            .insert(name.into(), (Dtype::F32, shape.to_vec(), bytes));
    }

    /// The weights of [`Small`].
    pub(crate) fn small() -> Self {
        let mut tensors = Self::default();
        tensors.add("conv_in.weight", &[4, 8, 1, 1], 0);
        tensors.add("conv_in.bias", &[4], 100);
        tensors.add("norm.weight", &[4], 200);
        tensors.add("norm.bias", &[4], 210);
        tensors.add("blocks.0.norm.weight", &[3], 300);
        tensors.add("blocks.0.norm.bias", &[3], 310);
        tensors.add("blocks.0.proj.weight", &[2, 3], 320);
        tensors.add("blocks.0.proj.bias", &[2], 330);
        tensors.add("embedding.weight", &[5, 3], 400);
        tensors
    }

    pub(crate) fn rename(&mut self, old: &str, new: &str) {
        let tensor = self.0.remove(old).unwrap();
        self.0.insert(new.into(), tensor);
    }

    /// The same numbers in another type, which must hold them exactly.
    pub(crate) fn map_bytes(&mut self, dtype: Dtype, convert: impl Fn(f32) -> Vec<u8>) {
        for (was, _, bytes) in self.0.values_mut() {
            *was = dtype;
            let (numbers, _) = bytes.as_chunks::<4>();
            let numbers = numbers.iter().map(|&number| f32::from_le_bytes(number));
            *bytes = numbers.flat_map(&convert).collect();
        }
    }
}

/// A network with one of each layer that the real ones have.
#[derive(Module, Debug)]
pub(crate) struct Small {
    pub(crate) conv_in: Conv2d,
    pub(crate) norm: GroupNorm,
    pub(crate) blocks: Vec<SmallBlock>,
    pub(crate) embedding: Embedding,
}

#[derive(Module, Debug)]
pub(crate) struct SmallBlock {
    pub(crate) norm: LayerNorm,
    pub(crate) proj: Linear,
}

impl Small {
    pub(crate) fn new() -> Self {
        let device = Device::flex();
        Self {
            conv_in: Conv2dConfig::new([8, 4], [1, 1]).init(&device),
            norm: GroupNormConfig::new(2, 4).init(&device),
            blocks: vec![SmallBlock {
                norm: LayerNormConfig::new(3).init(&device),
                proj: LinearConfig::new(3, 2).init(&device),
            }],
            embedding: EmbeddingConfig::new(5, 3).init(&device),
        }
    }
}

/// The numbers of a tensor, whatever its format.
pub(crate) fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().try_to_vec().unwrap()
}
