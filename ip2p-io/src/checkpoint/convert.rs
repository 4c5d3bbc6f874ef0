//! The numbers of a tensor: from the file's format to the network's.
//!
//! Read in chunks with ordinary positioned reads rather than through a memory map. Pages of a map count as the
//! process's memory, so that a mapped checkpoint would appear twice, and a file that shrinks while it is mapped kills
//! the process. A chunk stays in the processor's cache between being read and being converted.

use std::io::{self, Read, Seek, SeekFrom};

use burn::tensor::{Element, TensorData};
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use ip2p_core::Precision;
use safetensors::Dtype;

use super::header::{Format, TensorInfo};

/// Bytes that are read at a time; a multiple of every number's size.
const CHUNK_BYTES: usize = 1 << 20;

/// Rows and columns that are transposed at a time, so that both sides stay in the cache.
const TILE: usize = 32;

/// How a tensor of the file becomes a parameter of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// As it lies in the file.
    Same,
    /// A matrix whose axes change places: PyTorch's linear layers are `[out, in]`, burn's `[in, out]`.
    Transposed {
        /// Axis 0 in the file.
        rows: usize,
        /// Axis 1 in the file.
        columns: usize,
    },
}

impl Layout {
    /// Puts numbers that lie as in the file in the network's order.
    pub(crate) fn arrange<T: Copy + Default>(self, values: Vec<T>) -> Vec<T> {
        match self {
            Self::Same => values,
            Self::Transposed { rows, columns } => transpose(&values, rows, columns),
        }
    }
}

/// Reads one tensor of a float type in `precision` as `shape`, which the caller has checked against the file's.
///
/// A tensor that holds NaN, an infinity or a number that is too large for the precision is an error of the kind
/// [`io::ErrorKind::InvalidData`], which says what of it.
pub(crate) fn read_tensor(
    file: &mut (impl Read + Seek),
    info: &TensorInfo,
    layout: Layout,
    precision: Precision,
    shape: &[usize],
) -> io::Result<TensorData> {
    match precision {
        Precision::F32 => read_as(file, info, layout, shape, append_f32, f32::is_finite),
        Precision::F16 => read_as(file, info, layout, shape, append_f16, f16::is_finite),
        Precision::Bf16 => read_as(file, info, layout, shape, append_bf16, bf16::is_finite),
        _ => Err(unsupported(precision)),
    }
}

/// Converts the numbers of a tensor, which lie as in a file and are finite, to `precision`, as [`read_tensor`] does.
pub(crate) fn convert_tensor(
    numbers: Vec<f32>,
    layout: Layout,
    precision: Precision,
    shape: &[usize],
) -> io::Result<TensorData> {
    match precision {
        Precision::F32 => Ok(TensorData::new(layout.arrange(numbers), shape)),
        Precision::F16 => convert_as(&numbers, layout, shape, f16::is_finite),
        Precision::Bf16 => convert_as(&numbers, layout, shape, bf16::is_finite),
        _ => Err(unsupported(precision)),
    }
}

fn unsupported(precision: Precision) -> io::Error {
    let reason = format!("weights cannot be read as {precision}");
    io::Error::new(io::ErrorKind::Unsupported, reason)
}

fn convert_as<H: Element + Copy + Default>(
    numbers: &[f32],
    layout: Layout,
    shape: &[usize],
    is_finite: fn(H) -> bool,
) -> io::Result<TensorData>
where
    [H]: HalfFloatSliceExt,
{
    let mut halves = vec![H::default(); numbers.len()];
    halves.convert_from_f32_slice(numbers);
    if all(&halves, is_finite) {
        Ok(TensorData::new(layout.arrange(halves), shape))
    } else {
        Err(no_weights(numbers))
    }
}

fn read_as<T: Element + Copy + Default>(
    file: &mut (impl Read + Seek),
    info: &TensorInfo,
    layout: Layout,
    shape: &[usize],
    append: fn(Dtype, &[u8], &mut Vec<T>),
    is_finite: fn(T) -> bool,
) -> io::Result<TensorData> {
    let mut values = Vec::with_capacity(info.shape.iter().product());
    // Blocks of a quantised tensor are read whole.
    let chunk_bytes = match info.format {
        Format::Plain(_) => CHUNK_BYTES,
        Format::Quantized(quant) => CHUNK_BYTES - CHUNK_BYTES % quant.bytes(),
    };
    let mut chunk = vec![0; chunk_bytes];
    file.seek(SeekFrom::Start(info.offset))?;
    let mut left = info.bytes;
    while left > 0 {
        let now = usize::try_from(left).map_or(chunk_bytes, |left| left.min(chunk_bytes));
        file.read_exact(&mut chunk[..now])?;
        let start = values.len();
        append_any(info.format, &chunk[..now], &mut values, append);
        if !all(&values[start..], is_finite) {
            let mut numbers = Vec::new();
            append_any(info.format, &chunk[..now], &mut numbers, append_f32);
            return Err(no_weights(&numbers));
        }
        left -= now as u64;
    }
    if let (true, [rows, columns]) = (info.is_turned, info.shape.as_slice()) {
        values = transpose(&values, *columns, *rows);
    }
    Ok(TensorData::new(layout.arrange(values), shape))
}

/// One answer for all of them, so that the loop has no branches.
fn all<T: Copy>(values: &[T], is_finite: fn(T) -> bool) -> bool {
    values
        .iter()
        .fold(true, |all, &value| all & is_finite(value))
}

/// What is wrong with numbers that are not all finite, or not in a narrower format.
fn no_weights(numbers: &[f32]) -> io::Error {
    let damaged = |what: &str| {
        format!("{what}: the file is damaged, or the training that it is from ran away")
    };
    let reason = if numbers.iter().any(|number| number.is_nan()) {
        damaged("NaN")
    } else if numbers.iter().any(|number| number.is_infinite()) {
        damaged("an infinity")
    } else {
        let most = numbers.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        format!("{most:e}, which is too large for this precision: take f32 or bf16")
    };
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

fn append_any<T>(
    format: Format,
    bytes: &[u8],
    out: &mut Vec<T>,
    append: fn(Dtype, &[u8], &mut Vec<T>),
) {
    match format {
        Format::Plain(dtype) => append(dtype, bytes, out),
        Format::Quantized(quant) => {
            let mut floats = Vec::new();
            quant.append(bytes, &mut floats);
            let mut plain = Vec::new();
            append_bytes(&floats, &mut plain, f32::to_le_bytes);
            append(Dtype::F32, &plain, out);
        }
    }
}

/// Appends the bytes of numbers.
pub(super) fn append_bytes<const N: usize, T: Copy>(
    numbers: &[T],
    out: &mut Vec<u8>,
    to_le_bytes: impl Fn(T) -> [u8; N],
) {
    let start = out.len();
    out.resize(start + numbers.len() * N, 0);
    let (places, _) = out[start..].as_chunks_mut::<N>();
    for (place, &number) in places.iter_mut().zip(numbers) {
        *place = to_le_bytes(number);
    }
}

fn append_f32(dtype: Dtype, bytes: &[u8], out: &mut Vec<f32>) {
    match dtype {
        Dtype::F16 => widen(numbers(bytes, f16::from_le_bytes), out),
        Dtype::BF16 => widen(numbers(bytes, bf16::from_le_bytes), out),
        _ => append_wide(dtype, bytes, out),
    }
}

fn append_f16(dtype: Dtype, bytes: &[u8], out: &mut Vec<f16>) {
    match dtype {
        Dtype::F16 => out.extend(numbers(bytes, f16::from_le_bytes)),
        _ => narrow(dtype, bytes, out),
    }
}

fn append_bf16(dtype: Dtype, bytes: &[u8], out: &mut Vec<bf16>) {
    match dtype {
        Dtype::BF16 => out.extend(numbers(bytes, bf16::from_le_bytes)),
        _ => narrow(dtype, bytes, out),
    }
}

/// Appends 32-bit numbers, or 64-bit ones rounded to them.
#[expect(
    clippy::cast_possible_truncation,
    reason = "rounding to f32 is what was asked for"
)]
fn append_wide(dtype: Dtype, bytes: &[u8], out: &mut Vec<f32>) {
    match dtype {
        Dtype::F64 => out.extend(numbers(bytes, f64::from_le_bytes).map(|number| number as f32)),
        // The plan of a load holds float types alone.
        _ => out.extend(numbers(bytes, f32::from_le_bytes)),
    }
}

fn widen<H>(halves: impl Iterator<Item = H>, out: &mut Vec<f32>)
where
    [H]: HalfFloatSliceExt,
{
    // The conversion of a whole slice is vectorised, that of one number is not.
    let halves: Vec<H> = halves.collect();
    let start = out.len();
    out.resize(start + halves.len(), 0.0);
    halves.convert_to_f32_slice(&mut out[start..]);
}

fn narrow<H: Copy + Default>(dtype: Dtype, bytes: &[u8], out: &mut Vec<H>)
where
    [H]: HalfFloatSliceExt,
{
    let mut floats = Vec::new();
    append_f32(dtype, bytes, &mut floats);
    let start = out.len();
    out.resize(start + floats.len(), H::default());
    out[start..].convert_from_f32_slice(&floats);
}

fn numbers<const N: usize, T>(
    bytes: &[u8],
    from_le_bytes: impl Fn([u8; N]) -> T,
) -> impl Iterator<Item = T> {
    let (chunks, _) = bytes.as_chunks::<N>();
    chunks.iter().copied().map(from_le_bytes)
}

/// Swaps the axes of a matrix of `rows` by `columns`, row after row.
fn transpose<T: Copy + Default>(values: &[T], rows: usize, columns: usize) -> Vec<T> {
    let mut out = vec![T::default(); values.len()];
    for row_tile in (0..rows).step_by(TILE) {
        for column_tile in (0..columns).step_by(TILE) {
            for column in column_tile..columns.min(column_tile + TILE) {
                for row in row_tile..rows.min(row_tile + TILE) {
                    out[column * rows + row] = values[row * columns + column];
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    /// Every half-precision number, infinities and NaN included.
    fn every_half() -> impl Iterator<Item = u16> {
        0..=u16::MAX
    }

    fn convert<T>(append: fn(Dtype, &[u8], &mut Vec<T>), dtype: Dtype, bytes: &[u8]) -> Vec<T> {
        let mut out = Vec::new();
        append(dtype, bytes, &mut out);
        out
    }

    #[test]
    fn half_formats_widen_exactly() {
        let bytes: Vec<u8> = every_half().flat_map(u16::to_le_bytes).collect();
        let from_f16 = convert(append_f32, Dtype::F16, &bytes);
        let from_bf16 = convert(append_f32, Dtype::BF16, &bytes);
        for (bits, (a, b)) in every_half().zip(from_f16.into_iter().zip(from_bf16)) {
            let (half, brain) = (f16::from_bits(bits), bf16::from_bits(bits));
            assert!(
                a == half.to_f32() || (a.is_nan() && half.is_nan()),
                "{bits:x}"
            );
            assert!(
                b == brain.to_f32() || (b.is_nan() && brain.is_nan()),
                "{bits:x}"
            );
        }
    }

    #[test]
    fn the_same_format_is_copied_bit_for_bit() {
        let bytes: Vec<u8> = every_half().flat_map(u16::to_le_bytes).collect();
        let halves = convert(append_f16, Dtype::F16, &bytes);
        assert!(halves.iter().map(|x| x.to_bits()).eq(every_half()));
        let brains = convert(append_bf16, Dtype::BF16, &bytes);
        assert!(brains.iter().map(|x| x.to_bits()).eq(every_half()));
    }

    #[test]
    fn narrowing_rounds_to_nearest_even() {
        let bytes: Vec<u8> = [1.0_f32, 1.000_488_3, 1.001_464_8, 70000.0, 1e-9]
            .into_iter()
            .flat_map(f32::to_le_bytes)
            .collect();
        let halves = convert(append_f16, Dtype::F32, &bytes);
        let expected = [1.0, 1.0, 1.001_953_1, f32::INFINITY, 0.0];
        assert_eq!(halves, expected.map(f16::from_f32));
        let brains = convert(append_bf16, Dtype::F32, &bytes);
        assert_eq!(brains[3].to_f32(), 70144.0);
    }

    #[test]
    fn a_tensor_longer_than_a_chunk_is_read_whole() {
        let values: Vec<f32> = (0..CHUNK_BYTES / 4 * 2 + 3).map(|i| i as f32).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"head").unwrap();
        for value in &values {
            file.write_all(&value.to_le_bytes()).unwrap();
        }
        let info = TensorInfo {
            format: Format::Plain(Dtype::F32),
            shape: vec![values.len()],
            offset: 4,
            bytes: values.len() as u64 * 4,
            is_turned: false,
        };
        let read = |file: &mut File, info| {
            read_tensor(file, info, Layout::Same, Precision::F32, &[values.len()])
        };
        let data = read(&mut file, &info).unwrap();
        assert_eq!(data.try_to_vec::<f32>().unwrap(), values);
        file.set_len(5000).unwrap();
        let error = read(&mut file, &info).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_turned_matrix_is_turned_back() {
        let mut file = tempfile::tempfile().unwrap();
        // Columns of 2: the matrix is [[1, 3, 5], [2, 4, 6]].
        for value in [1_f32, 2., 3., 4., 5., 6.] {
            file.write_all(&value.to_le_bytes()).unwrap();
        }
        let info = TensorInfo {
            format: Format::Plain(Dtype::F32),
            shape: vec![2, 3],
            offset: 0,
            bytes: 24,
            is_turned: true,
        };
        let mut read = |layout, shape: &[usize]| {
            let data = read_tensor(&mut file, &info, layout, Precision::F32, shape).unwrap();
            data.try_into_vec::<f32>().unwrap()
        };
        assert_eq!(read(Layout::Same, &[2, 3]), [1., 3., 5., 2., 4., 6.]);
        let transposed = Layout::Transposed {
            rows: 2,
            columns: 3,
        };
        assert_eq!(read(transposed, &[3, 2]), [1., 2., 3., 4., 5., 6.]);
    }

    proptest! {
        #[test]
        fn rows_become_columns(rows in 0_usize..80, columns in 0_usize..80) {
            let values: Vec<usize> = (0..rows * columns).collect();
            let transposed = transpose(&values, rows, columns);
            for (i, value) in transposed.into_iter().enumerate() {
                let (column, row) = (i / rows, i % rows);
                prop_assert_eq!(value, row * columns + column);
            }
        }
    }
}
