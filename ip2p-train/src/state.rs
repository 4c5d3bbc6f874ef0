//! A training on disk: written beside and renamed, and resumed to the same weights as one that was never stopped.
//!
//! One safetensors file holds the weights that are trained, their average and AdamW's means, each under the parameter's name
//! with a prefix; its metadata hold the counts. What is random in a training is a function of the seed and the step, and what
//! is frozen is in the checkpoint that it began with, so there is no more to it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use ip2p::io::write_whole;
use ip2p::{Error, Result};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::ema::Ema;
use crate::origin::Origin;
use crate::parameters::{self, Named};
use crate::trainer::Trainer;

const VALUES: &str = "value/";
const MEANS: &str = "ema/";
const FIRST: &str = "adam1/";
const SECOND: &str = "adam2/";

impl<M: Module> Trainer<M> {
    /// Writes all that [`Self::resume`] needs.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be written: an earlier one of that name is then still what it was.
    ///
    /// # Panics
    ///
    /// If a parameter is not `f32`.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let (time, first, second) = self.optimiser.state();
        let mut tensors: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let mut add = |prefix: &str, named: &Named| {
            for (name, tensor) in named {
                let data = tensor.to_data();
                tensors.insert(format!("{prefix}{name}"), data.as_bytes().to_vec());
            }
        };
        add(VALUES, &parameters::trained(&self.module));
        add(MEANS, self.ema.means());
        add(FIRST, &first);
        add(SECOND, &second);
        let views = tensors.iter().map(|(name, bytes)| {
            let view = TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes);
            (name, view.expect("as many bytes as numbers"))
        });
        let metadata = HashMap::from([
            ("step".to_owned(), self.step.to_string()),
            ("optimiser_time".to_owned(), time.to_string()),
            ("ema_updates".to_owned(), self.ema.updates().to_string()),
            (
                "origin".to_owned(),
                serde_json::to_string(&self.origin).expect("text"),
            ),
        ]);
        let bytes = safetensors::serialize(views, Some(metadata))
            .map_err(|error| Error::other("cannot put the training state together", error))?;
        write(path, &bytes)
    }

    /// Goes on from a file that [`Self::save`] wrote of a training of the same origin and the same parameters.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be read, [`Error::Checkpoint`] if it is of another origin or of other parameters, or
    /// damaged.
    pub fn resume(mut self, path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|error| Error::io(path, error))?;
        let wrong = |reason: String| Error::checkpoint(path, reason);
        let (_, header) = SafeTensors::read_metadata(&bytes)
            .map_err(|error| wrong(format!("is no training state: {error}")))?;
        if let Some(begun) = header.metadata().as_ref().and_then(|map| map.get("origin")) {
            let begun: Origin = serde_json::from_str(begun)
                .map_err(|error| wrong(format!("is no training state: {error}")))?;
            self.origin.check(&begun, path)?;
        }
        let count = |name: &str| {
            let text = header.metadata().as_ref().and_then(|map| map.get(name));
            let number = text.and_then(|text| text.parse::<u64>().ok());
            number.ok_or_else(|| wrong(format!("has no {name}: is it a training state?")))
        };
        let (step, time, updates) = (
            count("step")?,
            count("optimiser_time")?,
            count("ema_updates")?,
        );
        let tensors = SafeTensors::deserialize(&bytes)
            .map_err(|error| wrong(format!("is no training state: {error}")))?;
        let device = device.clone().without_autodiff();
        let named = |prefix: &str| -> Named {
            tensors
                .iter()
                .filter_map(|(name, view)| {
                    let name = name.strip_prefix(prefix)?.to_owned();
                    let numbers: Vec<f32> = view
                        .data()
                        .as_chunks::<4>()
                        .0
                        .iter()
                        .map(|bytes| f32::from_le_bytes(*bytes))
                        .collect();
                    let length = numbers.len();
                    let data = TensorData::new(numbers, [length]);
                    Some((name, Tensor::from_data(data, &device)))
                })
                .collect()
        };
        let values = named(VALUES);
        check_same(&parameters::trained(&self.module), &values).map_err(wrong)?;
        self.module = parameters::with_values(self.module, &values);
        self.ema = Ema::resumed(self.options.ema_decay, updates, named(MEANS));
        let time = usize::try_from(time).map_err(|error| wrong(error.to_string()))?;
        self.optimiser
            .set_state(time, named(FIRST), named(SECOND))?;
        self.step = step;
        Ok(self)
    }
}

/// Whether a state has just the parameters that are trained, or what is wrong with it.
fn check_same(trained: &Named, found: &Named) -> std::result::Result<(), String> {
    for (name, value) in trained {
        if found.get(name).map(Tensor::dims) != Some(value.dims()) {
            return Err(format!(
                "{name}: is missing or of another size, so it is of another model, or of one of which other weights were trained"
            ));
        }
    }
    match found.keys().find(|name| !trained.contains_key(*name)) {
        Some(name) => Err(format!(
            "{name}: was trained when this state was written and is not now, {} of {}; train what was trained then, or \
             begin anew in another output folder",
            found.len() - trained.len(),
            found.len()
        )),
        None => Ok(()),
    }
}

/// Writes a file whole, into a folder that is made if there is none.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| Error::io(folder, error))?;
    }
    write_whole(path, bytes)
}
