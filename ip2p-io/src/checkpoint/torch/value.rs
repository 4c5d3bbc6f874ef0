//! What the pickles of checkpoints are made of.

use safetensors::Dtype;

/// Names of kinds of numbers.
pub(super) const STORAGES: [(&str, Dtype); 10] = [
    ("torch.FloatStorage", Dtype::F32),
    ("torch.HalfStorage", Dtype::F16),
    ("torch.BFloat16Storage", Dtype::BF16),
    ("torch.DoubleStorage", Dtype::F64),
    ("torch.LongStorage", Dtype::I64),
    ("torch.IntStorage", Dtype::I32),
    ("torch.ShortStorage", Dtype::I16),
    ("torch.CharStorage", Dtype::I8),
    ("torch.ByteStorage", Dtype::U8),
    ("torch.BoolStorage", Dtype::BOOL),
];

/// How many tuples may lie in each other: those of a checkpoint are two deep.
const MAX_DEPTH: usize = 16;

/// What a pickle builds.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Int(i64),
    Text(String),
    Tuple(Vec<Value>),
    /// Index of a dictionary.
    Dict(usize),
    /// A name, of those that are allowed.
    Name(String),
    Storage {
        dtype: Dtype,
        /// The entry of the archive.
        key: String,
        count: u64,
    },
    Tensor(Box<Tensor>),
    /// What is not looked at.
    Other,
}

/// A tensor: a part of a storage.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tensor {
    pub(super) dtype: Dtype,
    pub(super) key: String,
    /// Numbers in the storage.
    pub(super) count: u64,
    /// Numbers before the first.
    pub(super) offset: u64,
    pub(super) shape: Vec<usize>,
    pub(super) stride: Vec<u64>,
}

/// A tuple of values, unless tuples lie too deep in each other for a stack.
pub(super) fn nested(values: Vec<Value>) -> Result<Value, String> {
    fn depth(value: &Value) -> usize {
        match value {
            Value::Tuple(values) => 1 + values.iter().map(depth).max().unwrap_or(0),
            _ => 0,
        }
    }
    if values.iter().map(depth).max().unwrap_or(0) >= MAX_DEPTH {
        return Err(format!("has tuples in tuples, more than {MAX_DEPTH} deep"));
    }
    Ok(Value::Tuple(values))
}

/// Numbers of values within a value.
pub(super) fn size(value: &Value) -> usize {
    match value {
        Value::Tuple(values) => 1 + values.iter().map(size).sum::<usize>(),
        Value::Text(text) => 1 + text.len() / 16,
        _ => 1,
    }
}

pub(super) fn text(bytes: &[u8]) -> Value {
    Value::Text(String::from_utf8_lossy(bytes).into_owned())
}

/// A whole number in the fewest bytes; one that is too large is not looked at.
pub(super) fn long(bytes: &[u8]) -> Value {
    if bytes.len() > 8 {
        return Value::Other;
    }
    let sign = if bytes.last().is_some_and(|&last| last >= 0x80) {
        0xff
    } else {
        0
    };
    let mut wide = [sign; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    Value::Int(i64::from_le_bytes(wide))
}

/// What a persistent id stands for: `("storage", class, key, place, count)`.
pub(super) fn storage(id: &Value) -> Result<Value, String> {
    let Value::Tuple(parts) = id else {
        return Err("refers to what is no storage: it is damaged".into());
    };
    let [
        Value::Text(_),
        Value::Name(class),
        Value::Text(key),
        _,
        Value::Int(count),
    ] = &parts[..]
    else {
        return Err("refers to a storage of another form: it is damaged".into());
    };
    let known = STORAGES.iter().find(|(name, _)| name == class);
    let (_, dtype) =
        known.ok_or_else(|| format!("has a storage of {class}, which is no kind of numbers"))?;
    Ok(Value::Storage {
        dtype: *dtype,
        key: key.clone(),
        count: u64::try_from(*count).map_err(|_| format!("has a storage of {count} numbers"))?,
    })
}

pub(super) fn tensor(
    storage: &Value,
    offset: &Value,
    shape: &Value,
    stride: &Value,
) -> Result<Tensor, String> {
    let Value::Storage { dtype, key, count } = storage else {
        return Err("builds a tensor of what is no storage: it is damaged".into());
    };
    let whole = |value: &Value| match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        _ => None,
    };
    let several = |value: &Value| match value {
        Value::Tuple(values) => values.iter().map(whole).collect::<Option<Vec<_>>>(),
        _ => None,
    };
    let parts = whole(offset).zip(several(shape)).zip(several(stride));
    let ((offset, shape), stride) = parts.ok_or("builds a tensor of no shape: it is damaged")?;
    let axes = shape
        .into_iter()
        .map(usize::try_from)
        .collect::<Result<_, _>>();
    Ok(Tensor {
        dtype: *dtype,
        key: key.clone(),
        count: *count,
        offset,
        shape: axes.map_err(|_| "builds a tensor that is too large")?,
        stride,
    })
}
