//! Writes a network's weights as diffusers does.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use half::f16;
use ip2p_core::{Error, Precision, Result};
use safetensors::tensor::{Dtype, TensorView};

use super::names::Place;
use crate::whole::write_whole;

/// Writes the parameters of `module` to a safetensors file under the names that diffusers gives them, in `precision`.
///
/// The inverse of [`Checkpoint::load`](super::Checkpoint::load), by the same rules; into a folder that exists.
///
/// # Errors
///
/// [`Error::InvalidSetting`] for a precision other than `f32` and `f16`; [`Error::Io`] if the file cannot be written: an
/// earlier one of that name is then still what it was.
///
/// # Panics
///
/// If a parameter is not `f32`.
pub fn save_weights<M: Module>(
    module: &M,
    precision: Precision,
    path: impl AsRef<Path>,
) -> Result<()> {
    let mut collect = Collect::default();
    module.visit(&mut collect);
    let dtype = match precision {
        Precision::F32 => Dtype::F32,
        Precision::F16 => Dtype::F16,
        other => {
            return Err(Error::setting(
                "precision of written weights",
                "f32 or f16",
                other,
            ));
        }
    };
    let stored: BTreeMap<_, _> = collect
        .tensors
        .into_iter()
        .map(|(name, (shape, numbers))| {
            let bytes: Vec<u8> = match dtype {
                Dtype::F16 => numbers
                    .iter()
                    .flat_map(|&x| f16::from_f32(x).to_le_bytes())
                    .collect(),
                _ => numbers.iter().flat_map(|x| x.to_le_bytes()).collect(),
            };
            (name, (shape, bytes))
        })
        .collect();
    let views = stored.iter().map(|(name, (shape, bytes))| {
        let view = TensorView::new(dtype, shape.clone(), bytes);
        (name, view.expect("as many bytes as the shape has"))
    });
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let bytes = safetensors::serialize(views, Some(metadata))
        .map_err(|error| Error::other("cannot put the weights together", error))?;
    write_whole(path, &bytes)
}

/// The tensors by diffusers' names, in PyTorch's layout.
#[derive(Default)]
struct Collect {
    place: Place,
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

impl ModuleVisitor for Collect {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.place.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.place.exit();
    }

    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        let value = parameter.val().without_autodiff();
        let value = if self.place.is_linear_weight() {
            value.swap_dims(0, 1)
        } else {
            value
        };
        let shape = value.dims().to_vec();
        let data = value.into_data();
        let numbers = data
            .as_slice::<f32>()
            .expect("weights in training are f32")
            .to_vec();
        self.tensors.insert(self.place.key(), (shape, numbers));
    }
}
