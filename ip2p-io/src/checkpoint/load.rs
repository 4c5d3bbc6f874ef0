//! Filling a network with the weights of a checkpoint.
//!
//! First the network is walked and every parameter matched with a tensor, so that a checkpoint that does not fit is
//! refused within milliseconds, with all that is wrong in one list. Then it is walked again and filled a tensor at a
//! time. burn's parameters are lazy: neither walk makes one that is not yet there draw its random values.
//!
//! The walk is ours rather than burn-store's because that one takes the module apart in place, and aborts the process
//! if anything panics meanwhile; because it reports what does not fit only after reading the file; and because it
//! copies a matrix thrice to transpose it.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Bool, DType, Device, Int, Tensor, TensorData};
use ip2p_core::{Error, Precision, Result};
use serde::Serialize;

use super::Component;
use super::convert::{Layout, convert_tensor, read_tensor};
use super::names::Place;
use super::weights::{Stored, Weights};
use crate::storage::Opened;

/// How far a load has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadProgress {
    /// What is being loaded.
    pub component: Component,
    /// Bytes of the files' tensors that have been read.
    pub done_bytes: u64,
    /// Bytes of the files' tensors in all.
    pub total_bytes: u64,
}

/// What a load did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LoadReport {
    /// What was loaded.
    pub component: Component,
    /// The files that it was read from.
    pub files: Vec<PathBuf>,
    /// The number of tensors.
    pub tensors: usize,
    /// The number of numbers in them.
    pub parameters: u64,
    /// Bytes read.
    pub file_bytes: u64,
    /// The format that they were converted to.
    pub precision: Precision,
}

impl Weights {
    /// Fills `module` with these weights, converted to `precision` a tensor at a time.
    ///
    /// The module's parameters must be those of the files, one for one; their paths are the names that diffusers gives
    /// them. The matrix of a module type called `Linear` is stored transposed, as burn's row layout asks. Buffers that
    /// count positions (`position_ids`) are passed over; see the module documentation of `checkpoint` for the old
    /// names that are understood. Parameters stay on the device that they were made for.
    ///
    /// # Errors
    ///
    /// [`Error::Weights`] that lists what is missing, unused or of another shape, before anything is read;
    /// [`Error::Checkpoint`] if a tensor is not of a float type or a file ends early; [`Error::Io`].
    pub fn load<M: Module>(
        &self,
        module: M,
        precision: Precision,
        progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<(M, LoadReport)> {
        self.load_mapped(module, precision, progress, &mut Unchanged)
    }

    /// As [`Self::load`], with each parameter mapped by `then` as soon as it is there, so that no more than one is held as it was read.
    ///
    /// # Errors
    ///
    /// As [`Self::load`].
    pub fn load_mapped<M: Module>(
        &self,
        module: M,
        precision: Precision,
        progress: &mut dyn FnMut(LoadProgress),
        then: &mut impl ModuleMapper,
    ) -> Result<(M, LoadReport)> {
        let precision = precision.of_floats();
        let plan = self.plan(&module)?;
        let report = LoadReport {
            component: self.component,
            files: self.files.clone(),
            tensors: plan.len(),
            parameters: plan
                .values()
                .map(|planned| planned.shape.iter().product::<usize>() as u64)
                .sum(),
            file_bytes: plan.values().map(|planned| planned.stored.info.bytes).sum(),
            precision,
        };
        let module = self.fill(module, plan, precision, (progress, then))?;
        Ok((module, report))
    }

    /// Reads the tensors of these canonical names again, into a module that these weights have filled before.
    ///
    /// The others stay what they are, and are not read.
    pub(crate) fn load_again<M: Module>(
        &self,
        module: M,
        names: &BTreeSet<String>,
        precision: Precision,
    ) -> Result<M> {
        let mut plan = self.plan(&module)?;
        plan.retain(|name, _| names.contains(name));
        let silent: &mut dyn FnMut(LoadProgress) = &mut |_| ();
        let how = (silent, &mut Unchanged);
        self.fill(module, plan, precision.of_floats(), how)
    }

    fn fill<M: Module>(
        &self,
        module: M,
        plan: BTreeMap<String, Planned<'_>>,
        precision: Precision,
        (progress, then): (&mut dyn FnMut(LoadProgress), &mut impl ModuleMapper),
    ) -> Result<M> {
        let bytes = plan.values().map(|planned| planned.stored.info.bytes);
        let at = LoadProgress {
            component: self.component,
            done_bytes: 0,
            total_bytes: bytes.sum(),
        };
        let mut filler = Filler {
            weights: self,
            plan,
            precision,
            files: BTreeMap::new(),
            place: Place::default(),
            at,
            progress,
            then,
            failed: None,
        };
        let module = module.map(&mut filler);
        match filler.failed {
            Some(error) => Err(error),
            None => Ok(module),
        }
    }

    /// Matches the module's parameters with the tensors, both ways.
    fn plan<M: Module>(&self, module: &M) -> Result<BTreeMap<String, Planned<'_>>> {
        let mut planner = Planner {
            weights: self,
            names: self.by_canonical_name()?,
            place: Place::default(),
            plan: BTreeMap::new(),
            missing: Vec::new(),
            mismatched: Vec::new(),
        };
        module.visit(&mut planner);
        let unused: Vec<String> = planner.names.into_values().map(str::to_owned).collect();
        if !(planner.missing.is_empty() && unused.is_empty() && planner.mismatched.is_empty()) {
            return Err(Error::Weights {
                path: self.path().to_owned(),
                network: self.component.name(),
                missing: planner.missing,
                unused,
                mismatched: planner.mismatched,
            });
        }
        for (name, planned) in &planner.plan {
            self.check_float(planned.stored, name)?;
        }
        Ok(planner.plan)
    }
}

/// A parameter and the tensor that fills it.
#[derive(Debug)]
struct Planned<'a> {
    stored: &'a Stored,
    layout: Layout,
    /// The parameter's shape.
    shape: Vec<usize>,
}

/// The first walk: finds each parameter's tensor and takes it out of `names`.
struct Planner<'a> {
    weights: &'a Weights,
    names: BTreeMap<String, &'a str>,
    place: Place,
    plan: BTreeMap<String, Planned<'a>>,
    missing: Vec<String>,
    mismatched: Vec<String>,
}

impl Planner<'_> {
    fn visit(&mut self, shape: Vec<usize>) {
        let name = self.place.name(self.weights.component);
        let Some(key) = self.names.remove(&name) else {
            self.missing.push(name);
            return;
        };
        let stored = &self.weights.tensors[key];
        let stored_shape = &stored.info.shape;
        if let Some(layout) = self.layout(stored_shape, &shape) {
            let planned = Planned {
                stored,
                layout,
                shape,
            };
            self.plan.insert(name, planned);
            return;
        }
        let mut expected = shape;
        if self.place.is_linear_weight() {
            expected.reverse();
        }
        let difference = format!("{key} ({stored_shape:?} instead of {expected:?})");
        self.mismatched.push(difference);
    }

    /// How the stored tensor becomes the parameter, or [`None`] if their shapes do not agree.
    fn layout(&self, stored: &[usize], shape: &[usize]) -> Option<Layout> {
        if !self.place.is_linear_weight() {
            return (stored == shape).then_some(Layout::Same);
        }
        // The VAE's attention was a convolution of one pixel before it was linear: the same numbers.
        let (rows, columns) = match *stored {
            [rows, columns] => (rows, columns),
            [rows, columns, 1, 1] if self.weights.component == Component::Vae => (rows, columns),
            _ => return None,
        };
        (*shape == [columns, rows]).then_some(Layout::Transposed { rows, columns })
    }
}

impl ModuleVisitor for Planner<'_> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.place.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.place.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.visit(param.lazy_shape().to_vec());
    }

    // No network of a checkpoint has parameters of these kinds: a new one must not go unfilled unseen.
    fn visit_int<const D: usize>(&mut self, _param: &Param<Tensor<D, Int>>) {
        self.missing.push(self.place.name(self.weights.component));
    }

    fn visit_bool<const D: usize>(&mut self, _param: &Param<Tensor<D, Bool>>) {
        self.missing.push(self.place.name(self.weights.component));
    }
}

/// The second walk: reads each tensor into its parameter.
struct Filler<'a, T> {
    weights: &'a Weights,
    plan: BTreeMap<String, Planned<'a>>,
    precision: Precision,
    files: BTreeMap<usize, Opened<'a>>,
    place: Place,
    at: LoadProgress,
    progress: &'a mut dyn FnMut(LoadProgress),
    /// What maps each parameter that has been read.
    then: &'a mut T,
    /// A walk cannot be left early: after an error the rest of it does nothing.
    failed: Option<Error>,
}

impl<T> Filler<'_, T> {
    fn read(&mut self, name: &str, planned: &Planned<'_>, device: &Device) -> Result<TensorData> {
        let info = &planned.stored.info;
        let path = &self.weights.files[planned.stored.file];
        let failed = |source| self.weights.read_error(planned.stored, name, source);
        let storage = &self.weights.storage;
        let file = match self.files.entry(planned.stored.file) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(storage.open(path).map_err(failed)?),
        };
        let data = if self.weights.is_adapted(name) {
            let values = self
                .weights
                .read_adapted(file, planned.stored, name, device)?;
            convert_tensor(values, planned.layout, self.precision, &planned.shape)
        } else {
            read_tensor(file, info, planned.layout, self.precision, &planned.shape)
        };
        let data = data.map_err(failed)?;
        self.at.done_bytes += info.bytes;
        (self.progress)(self.at);
        Ok(data)
    }
}

impl<T: ModuleMapper> ModuleMapper for Filler<'_, T> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.place.enter(name, container_type);
        self.then.enter_module(name, container_type);
    }

    fn exit_module(&mut self, name: &str, container_type: &str) {
        self.place.exit();
        self.then.exit_module(name, container_type);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.failed.is_some() {
            return param;
        }
        let name = self.place.name(self.weights.component);
        // What is not planned is not to be read.
        let Some(planned) = self.plan.remove(&name) else {
            return param;
        };
        let device = param.lazy_device();
        match self.read(&name, &planned, &device) {
            Ok(data) => {
                let tensor = Tensor::from_data(data, (&device, dtype(self.precision)));
                let id = param.id;
                self.then.map_float(param.transform_for_load(tensor, id))
            }
            Err(error) => {
                self.failed = Some(error);
                param
            }
        }
    }
}

/// Leaves every parameter as it is.
struct Unchanged;

impl ModuleMapper for Unchanged {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param
    }
}

/// burn's name for a precision.
fn dtype(precision: Precision) -> DType {
    match precision {
        Precision::F16 => DType::F16,
        Precision::Bf16 => DType::BF16,
        _ => DType::F32,
    }
}
