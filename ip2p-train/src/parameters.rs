//! A module's parameters by name: what an optimiser, an average and a file need of it.
//!
//! burn keys gradients and optimiser states by numbers that a process draws. A training that is resumed in another process
//! needs names that outlive it, and the path through the module is one.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor};

/// Tensors by the path of the parameter that they belong to, each flattened and without a graph.
pub type Named = BTreeMap<String, Tensor<1>>;

/// The values of all parameters of `module`.
#[must_use]
pub fn values<M: Module>(module: &M) -> Named {
    collect(module, None)
}

/// Takes the gradients of the parameters of `module` out of `gradients`; a parameter that has none is left out.
#[must_use]
pub fn gradients<M: Module>(module: &M, gradients: &mut Gradients) -> Named {
    collect(module, Some(gradients))
}

/// The gradients where there are any to take, else the values.
fn collect<M: Module>(module: &M, gradients: Option<&mut Gradients>) -> Named {
    let mut walk = Collect {
        gradients,
        path: Vec::new(),
        named: Named::new(),
    };
    module.visit(&mut walk);
    walk.named
}

struct Collect<'a> {
    gradients: Option<&'a mut Gradients>,
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
        let found = match &mut self.gradients {
            Some(gradients) => value.grad_remove(gradients),
            None => Some(value.without_autodiff()),
        };
        if let Some(found) = found {
            self.named.insert(self.path.join("."), flat(found));
        }
    }
}

/// `module` with each parameter replaced by what `change` makes of its name and value.
#[must_use]
pub fn map<M: Module>(module: M, change: impl FnMut(&str, Tensor<1>) -> Tensor<1>) -> M {
    module.map(&mut Change {
        change,
        path: Vec::new(),
    })
}

/// `module` with these values.
///
/// # Panics
///
/// If a parameter of `module` is not among them.
#[must_use]
pub fn with_values<M: Module>(module: M, values: &Named) -> M {
    map(module, |name, _| {
        let value = values.get(name);
        value
            .unwrap_or_else(|| panic!("there is no value for {name}"))
            .clone()
    })
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
        let (shape, tracked, requires) =
            (value.dims(), value.is_autodiff(), value.is_require_grad());
        let changed = (self.change)(&name, flat(value.without_autodiff())).reshape(shape);
        let changed = match (tracked, requires) {
            (false, _) => changed,
            (true, false) => changed.autodiff(),
            (true, true) => changed.autodiff().require_grad(),
        };
        Param::from_mapped_value(id, changed, mapper)
    }
}

fn flat<const D: usize>(tensor: Tensor<D>) -> Tensor<1> {
    let length = tensor.shape().num_elements();
    tensor.reshape([length])
}
