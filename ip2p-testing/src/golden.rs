//! A fixture, and the comparison of what we computed with what it holds.

use std::collections::HashMap;
use std::path::PathBuf;
use std::{fs, thread};

use burn::tensor::{Device, Tensor, TensorData};
use half::{bf16, f16};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use crate::{device_name, fixture};

/// A fixture opened for comparison.
///
/// Each `check_…` records the largest error under the name of the layer; [`Golden::finish`] fails with the list of all
/// that are too large, so that one run shows where a network first goes astray.
#[derive(Debug)]
pub struct Golden {
    path: PathBuf,
    bytes: Vec<u8>,
    metadata: HashMap<String, String>,
    tolerance: f64,
    checked: Vec<Checked>,
    finished: bool,
}

#[derive(Debug)]
struct Checked {
    name: String,
    error: f64,
}

impl Golden {
    /// Opens `tests/golden/fixtures/{name}.safetensors`.
    ///
    /// # Panics
    ///
    /// If the file is missing, damaged or has no tolerance.
    #[must_use]
    pub fn open(name: &str) -> Self {
        let path = fixture(&format!("{name}.safetensors"));
        let bytes = fs::read(&path).unwrap_or_else(|error| {
            panic!(
                "{}: {error}; tests/golden/make.py writes it",
                path.display()
            )
        });
        let (_, header) =
            SafeTensors::read_metadata(&bytes).expect("a fixture is a safetensors file");
        let metadata = header.metadata().clone().unwrap_or_default();
        let on_gpu = (device_name() != "flex")
            .then(|| metadata.get("tolerance_gpu"))
            .flatten();
        let tolerance = on_gpu
            .or_else(|| metadata.get("tolerance"))
            .expect("a fixture states its tolerance");
        let tolerance = tolerance.parse().expect("a tolerance is a number");
        Self {
            path,
            bytes,
            metadata,
            tolerance,
            checked: Vec::new(),
            finished: false,
        }
    }

    /// A line of the metadata.
    ///
    /// # Panics
    ///
    /// If there is none of that name.
    #[must_use]
    pub fn text(&self, key: &str) -> &str {
        self.metadata
            .get(key)
            .unwrap_or_else(|| panic!("{}: no metadata {key}", self.path.display()))
    }

    /// The names of the tensors, sorted.
    ///
    /// # Panics
    ///
    /// If the fixture is damaged.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let tensors = SafeTensors::deserialize(&self.bytes).expect("checked by open");
        let mut names: Vec<_> = tensors.names().into_iter().map(str::to_owned).collect();
        names.sort();
        names
    }

    /// A tensor's shape.
    #[must_use]
    pub fn shape(&self, name: &str) -> Vec<usize> {
        self.view(name, |view| view.shape().to_vec())
    }

    /// A tensor of any float type, as `f64`.
    ///
    /// # Panics
    ///
    /// If it is not of a float type.
    #[must_use]
    pub fn doubles(&self, name: &str) -> Vec<f64> {
        self.view(name, |view| match view.dtype() {
            Dtype::F64 => numbers(view, f64::from_le_bytes),
            Dtype::F32 => numbers(view, |bytes| f64::from(f32::from_le_bytes(bytes))),
            Dtype::F16 => numbers(view, |bytes| f64::from(f16::from_le_bytes(bytes))),
            Dtype::BF16 => numbers(view, |bytes| f64::from(bf16::from_le_bytes(bytes))),
            other => panic!("{name} is {other:?}, not a float type"),
        })
    }

    /// A tensor of a float type no wider than `f32`.
    ///
    /// # Panics
    ///
    /// If it is of another type.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the numbers were f32 or narrower"
    )]
    pub fn floats(&self, name: &str) -> Vec<f32> {
        self.view(name, |view| {
            assert_ne!(view.dtype(), Dtype::F64, "{name}: use doubles");
        });
        self.doubles(name)
            .into_iter()
            .map(|number| number as f32)
            .collect()
    }

    /// A tensor of an integer type.
    ///
    /// # Panics
    ///
    /// If it is of another type.
    #[must_use]
    pub fn ints(&self, name: &str) -> Vec<i64> {
        self.view(name, |view| match view.dtype() {
            Dtype::I64 => numbers(view, i64::from_le_bytes),
            Dtype::I32 => numbers(view, |bytes| i64::from(i32::from_le_bytes(bytes))),
            Dtype::U32 => numbers(view, |bytes| i64::from(u32::from_le_bytes(bytes))),
            Dtype::U8 => view.data().iter().map(|&byte| i64::from(byte)).collect(),
            other => panic!("{name} is {other:?}, not an integer type"),
        })
    }

    /// The bytes of a tensor of bytes.
    ///
    /// # Panics
    ///
    /// If it is of another type.
    #[must_use]
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        self.view(name, |view| {
            assert_eq!(view.dtype(), Dtype::U8, "{name}");
            view.data().to_vec()
        })
    }

    /// A float tensor on `device`.
    #[must_use]
    pub fn tensor<const D: usize>(&self, name: &str, device: &Device) -> Tensor<D> {
        Tensor::from_data(TensorData::new(self.floats(name), self.shape(name)), device)
    }

    /// Compares a tensor with the one of this name, shape and all.
    ///
    /// # Panics
    ///
    /// If the shape differs.
    pub fn check<const D: usize>(&mut self, name: &str, actual: Tensor<D>) {
        assert_eq!(actual.dims().as_slice(), self.shape(name), "{name}: shape");
        let actual = actual
            .into_data()
            .convert::<f32>()
            .try_into_vec::<f32>()
            .expect("just converted");
        self.check_floats(name, &actual);
    }

    /// Compares numbers with those of the tensor of this name.
    ///
    /// # Panics
    ///
    /// If their count differs.
    pub fn check_floats(&mut self, name: &str, actual: &[f32]) {
        self.check_doubles(
            name,
            &actual.iter().copied().map(f64::from).collect::<Vec<_>>(),
        );
    }

    /// Compares numbers with those of the tensor of this name.
    ///
    /// The error is the largest absolute difference, relative to the largest expected magnitude where that is above 1.
    ///
    /// # Panics
    ///
    /// If their count differs.
    pub fn check_doubles(&mut self, name: &str, actual: &[f64]) {
        let expected = self.doubles(name);
        assert_eq!(actual.len(), expected.len(), "{name}: how many numbers");
        let scale = expected
            .iter()
            .fold(1.0_f64, |scale, number| scale.max(number.abs()));
        let error = expected
            .iter()
            .zip(actual)
            .fold(0.0_f64, |error, (expected, actual)| {
                // `max` would drop a NaN.
                let difference = (expected - actual).abs();
                if difference.is_nan() {
                    f64::INFINITY
                } else {
                    error.max(difference)
                }
            });
        self.checked.push(Checked {
            name: name.to_owned(),
            error: error / scale,
        });
    }

    /// Prints each comparison, and fails if one was too far off or none was made.
    ///
    /// # Panics
    ///
    /// If an error is above the fixture's tolerance, or nothing was compared.
    pub fn finish(mut self) {
        self.finished = true;
        assert!(
            !self.checked.is_empty(),
            "{}: nothing was compared",
            self.path.display()
        );
        let line = |checked: &Checked| {
            let verdict = if checked.error <= self.tolerance {
                "ok"
            } else {
                "TOO FAR"
            };
            format!("{verdict:8} {:.3e}  {}", checked.error, checked.name)
        };
        let report = self.checked.iter().map(line).collect::<Vec<_>>().join("\n");
        println!(
            "{} (tolerance {:e})\n{report}",
            self.path.display(),
            self.tolerance
        );
        let worst = self
            .checked
            .iter()
            .fold(0.0_f64, |worst, checked| worst.max(checked.error));
        assert!(
            worst <= self.tolerance,
            "{}: an error of {worst:.3e}\n{report}",
            self.path.display()
        );
    }

    fn view<T>(&self, name: &str, read: impl FnOnce(&TensorView<'_>) -> T) -> T {
        let tensors = SafeTensors::deserialize(&self.bytes).expect("checked by open");
        let view = tensors
            .tensor(name)
            .unwrap_or_else(|_| panic!("{}: no tensor {name}", self.path.display()));
        read(&view)
    }
}

impl Drop for Golden {
    fn drop(&mut self) {
        // Comparisons that nobody looks at are a test that cannot fail.
        assert!(
            self.finished || self.checked.is_empty() || thread::panicking(),
            "{}: checked, but not finished",
            self.path.display()
        );
    }
}

fn numbers<const N: usize, T>(
    view: &TensorView<'_>,
    from_le_bytes: impl Fn([u8; N]) -> T,
) -> Vec<T> {
    view.data()
        .chunks_exact(N)
        .map(|chunk| from_le_bytes(chunk.try_into().expect("chunks of N")))
        .collect()
}
