//! A module's parameters by name: what an optimiser, an average and a file need of it.
//!
//! burn keys gradients and optimiser states by numbers that a process draws. A training that is resumed in another process
//! needs names that outlive it, and the path through the module is one.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, FloatDType, Gradients, Tensor};

/// Tensors by the path of the parameter that they belong to, each flattened and without a graph.
pub type Named = BTreeMap<String, Tensor<1>>;

/// The values of all parameters of `module`.
#[must_use]
pub fn values<M: Module>(module: &M) -> Named {
    collect(module, Wanted::Values)
}

/// The values of the parameters of `module` that are trained, which are those that a gradient is asked of.
#[must_use]
pub fn trained<M: Module>(module: &M) -> Named {
    collect(module, Wanted::Trained)
}

/// Takes the gradients of the parameters of `module` out of `gradients`; a parameter that has none is left out.
#[must_use]
pub fn gradients<M: Module>(module: &M, gradients: &mut Gradients) -> Named {
    collect(module, Wanted::Gradients(gradients))
}

/// `module` with its parameters cast, as results of those of `module`: what is computed with them leaves its gradients there.
#[must_use]
pub fn cast<M: Module>(module: M, dtype: FloatDType) -> M {
    module.map(&mut Cast(dtype))
}

struct Cast(FloatDType);

impl ModuleMapper for Cast {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, value, mapper) = parameter.consume();
        Param::from_mapped_value(id, value.cast(self.0), mapper)
    }
}

/// Where a module is, without autodiff.
///
/// # Panics
///
/// If it has no parameters.
#[must_use]
pub fn device<M: Module>(module: &M) -> Device {
    let devices = module.devices();
    let first = devices.first().expect("a module has parameters");
    first.clone().without_autodiff()
}

/// What is collected of the parameters.
enum Wanted<'a> {
    Values,
    Trained,
    Gradients(&'a mut Gradients),
}

fn collect<M: Module>(module: &M, wanted: Wanted<'_>) -> Named {
    let mut walk = Collect {
        wanted,
        path: Vec::new(),
        named: Named::new(),
    };
    module.visit(&mut walk);
    walk.named
}

struct Collect<'a> {
    wanted: Wanted<'a>,
    path: Vec<String>,
    named: Named,
}

impl ModuleVisitor for Collect<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        let value = parameter.val();
        let found = match &mut self.wanted {
            Wanted::Values => Some(value.without_autodiff()),
            Wanted::Trained => value.is_require_grad().then(|| value.without_autodiff()),
            Wanted::Gradients(gradients) => value.grad_remove(gradients),
        };
        if let Some(found) = found {
            self.named.insert(self.path.join("."), flat(found));
        }
    }
}

/// `module` with each parameter replaced by what `change` makes of its name and value; it is trained as before, or not.
#[must_use]
pub fn map<M: Module>(module: M, change: impl FnMut(&str, Tensor<1>) -> Tensor<1>) -> M {
    module.map(&mut Change {
        change,
        path: Vec::new(),
    })
}

/// `module` with these values; a parameter that is not among them stays.
///
/// # Panics
///
/// If a value is of no parameter of `module`.
#[must_use]
pub fn with_values<M: Module>(module: M, values: &Named) -> M {
    let mut left: BTreeMap<&str, &Tensor<1>> = values
        .iter()
        .map(|(name, value)| (name.as_str(), value))
        .collect();
    let module = map(module, |name, value| {
        left.remove(name).map_or(value, Clone::clone)
    });
    if let Some((name, _)) = left.first_key_value() {
        panic!("there is no parameter {name}");
    }
    module
}

struct Change<F> {
    change: F,
    path: Vec<String>,
}

impl<F: FnMut(&str, Tensor<1>) -> Tensor<1>> ModuleMapper for Change<F> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.path.join(".");
        let (id, value, mapper) = parameter.consume();
        let (shape, requires) = (value.dims(), value.is_require_grad());
        let strategy = value.gradient_checkpointing_strategy();
        let changed = (self.change)(&name, flat(value.without_autodiff())).reshape(shape);
        let changed = match strategy {
            None => changed,
            Some(strategy) => changed
                .autodiff()
                .with_gradient_checkpointing_strategy(strategy)
                .set_require_grad(requires),
        };
        Param::from_mapped_value(id, changed, mapper)
    }
}

fn flat<const D: usize>(tensor: Tensor<D>) -> Tensor<1> {
    let length = tensor.shape().num_elements();
    tensor.reshape([length])
}
