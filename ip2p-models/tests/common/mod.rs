//! What the parity tests share: weights from a fixture, strictly.

#![allow(dead_code, reason = "no test uses all of it")]

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{FloatDType, Tensor};
use burn_store::{BurnToPyTorchAdapter, ModuleSnapshot, PyTorchToBurnAdapter, SafetensorsStore};
use ip2p_testing::fixture;

/// `module` with the weights of `tests/golden/fixtures/{name}`.
///
/// # Panics
///
/// If one weight is missing, unused or of another shape.
pub(crate) fn load<M: Module + ModuleSnapshot>(mut module: M, name: &str) -> M {
    let mut store = SafetensorsStore::from_file(fixture(name))
        .with_from_adapter(PyTorchToBurnAdapter)
        .skip_enum_variants(true);
    let result = module.load_from(&mut store).expect("every weight is there");
    assert!(
        result.unused.is_empty(),
        "{name}: unused {:?}",
        result.unused
    );
    module
}

/// `module` with weights of another float type.
pub(crate) fn cast<M: Module>(module: M, dtype: FloatDType) -> M {
    module.map(&mut Cast(dtype))
}

struct Cast(FloatDType);

impl ModuleMapper for Cast {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|x| x.cast(self.0))
    }
}

/// The names of a module's tensors as PyTorch spells them, with their shapes, sorted.
pub(crate) fn state_dict<M: Module + ModuleSnapshot>(module: &M) -> Vec<(String, Vec<usize>)> {
    let tensors = module.collect(None, Some(Box::new(BurnToPyTorchAdapter)), true);
    let mut names: Vec<_> = tensors
        .iter()
        .map(|tensor| (tensor.name.clone(), tensor.shape.to_vec()))
        .collect();
    names.sort();
    names
}

/// The names and shapes of the tensors in a fixture, sorted.
pub(crate) fn file_names(name: &str) -> Vec<(String, Vec<usize>)> {
    let golden = ip2p_testing::Golden::open(name);
    golden
        .names()
        .into_iter()
        .map(|tensor| {
            let shape = golden.shape(&tensor);
            (tensor, shape)
        })
        .collect()
}
