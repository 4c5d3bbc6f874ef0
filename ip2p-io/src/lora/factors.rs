//! What is added to a layer's weight: products of small matrices, by the formulas of their inventors.
//!
//! All are computed as matrices with a row for each output, as PyTorch's weights are when the axes behind the first are taken
//! as one.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};
use ip2p_core::Result;

use super::key::Part;
use crate::checkpoint::TensorInfo;

/// The parts of one layer, with the keys that they have in the file.
pub(super) type Parts = BTreeMap<Part, (String, TensorInfo)>;

/// Reads a tensor of the file.
pub(super) type Read<'a> = dyn FnMut(&TensorInfo) -> Result<Vec<f32>> + 'a;

/// What is multiplied.
#[derive(Debug, Clone)]
pub(super) enum Factors {
    /// `up · down`: Hu et al. (2022), <https://arxiv.org/abs/2106.09685>; with a core between them, Yeh et al. (2023), below.
    LowRank(Product),
    /// The product, number by number, of two such products: LoHa; Yeh et al. (2023), <https://arxiv.org/abs/2309.14859>, and Hyeon-Woo
    /// et al. (2022), <https://arxiv.org/abs/2108.06098>.
    Hadamard(Product, Product),
    /// The Kronecker product of two matrices: LoKr; Yeh et al. (2023).
    Kronecker(Side, Side),
    /// The difference itself.
    Whole(TensorInfo),
}

/// `left · right`, or with a core between them: Tucker's decomposition of a convolution.
#[derive(Debug, Clone)]
pub(super) struct Product {
    left: TensorInfo,
    right: TensorInfo,
    core: Option<TensorInfo>,
    /// Whether the left factor's axes are in the other order: where LyCORIS has a core.
    is_left_transposed: bool,
}

/// A factor of a Kronecker product.
#[derive(Debug, Clone)]
pub(super) enum Side {
    Whole(TensorInfo),
    Product(Product),
}

impl Factors {
    /// Takes the parts that are multiplied out of `parts`: nothing if there are none, and an error if some are missing.
    pub(super) fn take(parts: &mut Parts) -> Result<Option<Self>, String> {
        use Part::{
            Diff, Down, Hada1A, Hada1B, Hada2A, Hada2B, HadaT1, HadaT2, Lokr1, Lokr1A, Lokr1B,
            Lokr2, Lokr2A, Lokr2B, LokrT2, Mid, Up,
        };
        let has = |parts: &Parts, of: &[Part]| of.iter().any(|part| parts.contains_key(part));
        let found = if has(parts, &[Down, Up, Mid]) {
            Self::LowRank(Product::take(parts, Up, Down, Mid)?)
        } else if has(parts, &[Hada1A, Hada1B, Hada2A, Hada2B]) {
            let first = Product::take(parts, Hada1A, Hada1B, HadaT1)?;
            Self::Hadamard(first, Product::take(parts, Hada2A, Hada2B, HadaT2)?)
        } else if has(parts, &[Lokr1, Lokr1A, Lokr1B, Lokr2, Lokr2A, Lokr2B]) {
            let first = match parts.remove(&Lokr1) {
                Some((_, whole)) => Side::Whole(whole),
                // The first factor never has a core.
                None => Side::Product(Product::take(parts, Lokr1A, Lokr1B, HadaT1)?),
            };
            let second = match parts.remove(&Lokr2) {
                Some((_, whole)) => Side::Whole(whole),
                None => Side::Product(Product::take(parts, Lokr2A, Lokr2B, LokrT2)?),
            };
            Self::Kronecker(first, second)
        } else if let Some((_, whole)) = parts.remove(&Diff) {
            Self::Whole(whole)
        } else {
            return Ok(None);
        };
        found.matrix()?;
        Ok(Some(found))
    }

    /// Rows and columns of what is added.
    ///
    /// # Errors
    ///
    /// Why the factors cannot be multiplied.
    pub(super) fn matrix(&self) -> Result<[usize; 2], String> {
        match self {
            Self::LowRank(product) => product.matrix(),
            Self::Whole(whole) => matrix(&whole.shape),
            Self::Hadamard(first, second) => {
                let (first, second) = (first.matrix()?, second.matrix()?);
                if first == second {
                    Ok(first)
                } else {
                    Err(format!(
                        "its products are of the shapes {first:?} and {second:?}"
                    ))
                }
            }
            Self::Kronecker(first, second) => {
                let ([a, b], [c, d]) = (first.matrix()?, second.matrix()?);
                let too_large = || "its Kronecker product is too large".to_owned();
                Ok([
                    a.checked_mul(c).ok_or_else(too_large)?,
                    b.checked_mul(d).ok_or_else(too_large)?,
                ])
            }
        }
    }

    /// What alpha is divided by; none where alpha does not count.
    pub(super) fn rank(&self) -> Option<usize> {
        match self {
            // AUTOMATIC1111's network_lokr.py takes the second of two factors that are products.
            Self::LowRank(product)
            | Self::Hadamard(product, _)
            | Self::Kronecker(_, Side::Product(product))
            | Self::Kronecker(Side::Product(product), _) => Some(product.rank()),
            Self::Kronecker(..) | Self::Whole(_) => None,
        }
    }

    /// The two matrices of which what is added is the product, if it is no more than that.
    pub(super) fn pair(
        &self,
        read: &mut Read<'_>,
        device: &Device,
    ) -> Result<Option<[Tensor<2>; 2]>> {
        match self {
            Self::LowRank(product) if product.core.is_none() => Ok(Some([
                tensor(&product.left, read, device)?,
                tensor(&product.right, read, device)?,
            ])),
            _ => Ok(None),
        }
    }

    /// What is added, before alpha and weight: `[rows, columns]`.
    pub(super) fn multiply(&self, read: &mut Read<'_>, device: &Device) -> Result<Tensor<2>> {
        Ok(match self {
            Self::LowRank(product) => product.multiply(read, device)?,
            Self::Whole(whole) => tensor(whole, read, device)?,
            Self::Hadamard(first, second) => {
                first.multiply(read, device)? * second.multiply(read, device)?
            }
            Self::Kronecker(first, second) => {
                let (first, second) = (
                    first.multiply(read, device)?,
                    second.multiply(read, device)?,
                );
                let ([a, b], [c, d]) = (first.dims(), second.dims());
                let spread: Tensor<4> = first.reshape([a, 1, b, 1]) * second.reshape([1, c, 1, d]);
                spread.reshape([a * c, b * d])
            }
        })
    }
}

impl Product {
    fn take(parts: &mut Parts, left: Part, right: Part, core: Part) -> Result<Self, String> {
        let (left_factor, right_factor) = match (parts.remove(&left), parts.remove(&right)) {
            (Some((_, left)), Some((_, right))) => (left, right),
            (Some((key, _)), None) => return Err(format!("has {key} and no {}", right.name())),
            (None, Some((key, _))) => return Err(format!("has {key} and no {}", left.name())),
            (None, None) => return Err(format!("has no {} and no {}", left.name(), right.name())),
        };
        let core = parts.remove(&core).map(|(_, info)| info);
        Ok(Self {
            left: left_factor,
            right: right_factor,
            is_left_transposed: core.is_some() && left != Part::Up,
            core,
        })
    }

    /// Rows and columns of the product.
    fn matrix(&self) -> Result<[usize; 2], String> {
        let [rows, inner] = matrix(&self.left.shape)?;
        let [rows, inner] = if self.is_left_transposed {
            [inner, rows]
        } else {
            [rows, inner]
        };
        let [other, columns] = matrix(&self.right.shape)?;
        let fit = match &self.core {
            None => (inner == other).then_some(columns),
            Some(core) => match core.shape[..] {
                [p, q, height, width] if p == inner && q == other => columns
                    .checked_mul(height)
                    .and_then(|columns| columns.checked_mul(width)),
                _ => None,
            },
        };
        fit.map(|columns| [rows, columns]).ok_or_else(|| {
            let core = self.core.as_ref();
            let core = core.map_or_else(String::new, |core| {
                format!(" with {:?} between them", core.shape)
            });
            let (left, right) = (&self.left.shape, &self.right.shape);
            format!(
                "has factors of the shapes {left:?} and {right:?}{core}, which cannot be multiplied"
            )
        })
    }

    /// Axis 0 of the right factor.
    fn rank(&self) -> usize {
        self.right.shape.first().copied().unwrap_or(1)
    }

    fn multiply(&self, read: &mut Read<'_>, device: &Device) -> Result<Tensor<2>> {
        let left = tensor(&self.left, read, device)?;
        let left = if self.is_left_transposed {
            left.transpose()
        } else {
            left
        };
        let right = tensor(&self.right, read, device)?;
        let Some(core) = &self.core else {
            return Ok(left.matmul(right));
        };
        let ([rows, _], [inner, columns]) = (left.dims(), right.dims());
        // [outputs, p] · [p, q · pixels] = [outputs, q, pixels]
        let outer = left.matmul(tensor(core, read, device)?);
        let pixels = outer.dims()[1] / inner;
        let outer: Tensor<3> = outer.reshape([rows, inner, pixels]).swap_dims(1, 2);
        // [outputs · pixels, q] · [q, inputs] = [outputs, pixels, inputs]
        let product = outer.reshape([rows * pixels, inner]).matmul(right);
        let product: Tensor<3> = product.reshape([rows, pixels, columns]).swap_dims(1, 2);
        Ok(product.reshape([rows, columns * pixels]))
    }
}

impl Side {
    fn matrix(&self) -> Result<[usize; 2], String> {
        match self {
            Self::Whole(whole) => matrix(&whole.shape),
            Self::Product(product) => product.matrix(),
        }
    }

    fn multiply(&self, read: &mut Read<'_>, device: &Device) -> Result<Tensor<2>> {
        match self {
            Self::Whole(whole) => tensor(whole, read, device),
            Self::Product(product) => product.multiply(read, device),
        }
    }
}

/// A shape as that of a matrix: its first axis, and the product of the others.
///
/// # Errors
///
/// If it has no axis, or one of length 0.
pub(super) fn matrix(shape: &[usize]) -> Result<[usize; 2], String> {
    match shape {
        [rows, rest @ ..] if shape.iter().all(|&axis| axis > 0) => {
            Ok([*rows, rest.iter().product()])
        }
        _ => Err(format!("has a factor of the shape {shape:?}")),
    }
}

/// A tensor of the file as a matrix.
fn tensor(info: &TensorInfo, read: &mut Read<'_>, device: &Device) -> Result<Tensor<2>> {
    let rows = info.shape.first().copied().unwrap_or(1);
    let values = read(info)?;
    let columns = values.len() / rows.max(1);
    Ok(Tensor::from_data(
        TensorData::new(values, [rows, columns]),
        device,
    ))
}
