//! Python's pickles, as far as checkpoints need them: a stack machine that builds values and calls nothing.
//!
//! A pickle may name any function of Python and call it, which is how files from strangers take over machines. Here a name is a word
//! and a call builds a tensor, a dictionary or nothing; a name that no checkpoint needs is refused, so that nobody takes a file
//! for harmless that was not meant to be. Opcodes from CPython's `Lib/pickletools.py`.

use super::value::{STORAGES, Value, long, nested, size, storage, tensor, text};
use super::zip::Bytes;

/// Names that build something.
const ORDERED_DICT: &str = "collections.OrderedDict";
const REBUILD_TENSOR: &str = "torch._utils._rebuild_tensor_v2";
const REBUILD_PARAMETER: &str = "torch._utils._rebuild_parameter";
/// A dictionary whose pairs are in its state: what the first trainings of textual inversion saved.
const PARAMETER_DICT: &str = "torch.nn.modules.container.ParameterDict";

/// Where that state has them.
const PARAMETERS: &str = "_parameters";

/// Names that trainings leave in a checkpoint beside its weights; what they build is not looked at.
const INERT: [&str; 12] = [
    "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",
    "pytorch_lightning.utilities.enums.LightningEnum",
    "torch.float32",
    "torch.float16",
    "torch.Size",
    "torch.device",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.dtype",
    "_codecs.encode",
    "builtins.set",
    "__builtin__.set",
];

/// The most values that a pickle may build: an original checkpoint with two sets of weights has some 100 000.
const MAX_VALUES: usize = 4 << 20;

/// What a pickle built, and the dictionaries in it.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) value: Value,
    pub(super) dicts: Vec<Vec<(Value, Value)>>,
}

/// Builds what a pickle describes.
///
/// # Errors
///
/// Why it cannot be built.
pub(super) fn build(pickle: &[u8]) -> Result<Built, String> {
    let mut machine = Machine::default();
    let mut bytes = Bytes(pickle);
    loop {
        let [opcode] = bytes.array()?;
        if opcode == b'.' {
            let value = machine.pop()?;
            return Ok(Built {
                value,
                dicts: machine.dicts,
            });
        }
        machine.step(opcode, &mut bytes)?;
        machine.built += 1;
        if machine.built > MAX_VALUES || machine.memo.len() > MAX_VALUES {
            return Err("builds more values than a checkpoint has".into());
        }
    }
}

#[derive(Debug, Default)]
struct Machine {
    stack: Vec<Value>,
    /// Where the stack stood at each mark.
    marks: Vec<usize>,
    memo: Vec<Value>,
    dicts: Vec<Vec<(Value, Value)>>,
    built: usize,
}

impl Machine {
    fn step(&mut self, opcode: u8, bytes: &mut Bytes<'_>) -> Result<(), String> {
        match opcode {
            0x80 => drop(bytes.array::<1>()?),
            0x95 => drop(bytes.array::<8>()?),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'b' => self.set_state()?,
            b'1' => drop(self.marked()?),
            b'2' => {
                let value = self.top()?.clone();
                self.built += size(&value);
                self.push(value);
            }
            b'q' => {
                let [index] = bytes.array()?;
                self.remember(index.into())?;
            }
            b'r' => {
                let index = bytes.u32()?;
                self.remember(index as usize)?;
            }
            0x94 => self.remember(self.memo.len())?,
            b'h' => {
                let [index] = bytes.array()?;
                self.recall(index.into())?;
            }
            b'j' => {
                let index = bytes.u32()?;
                self.recall(index as usize)?;
            }
            b'c' => {
                let (module, name) = (line(bytes)?, line(bytes)?);
                self.name(&module, &name)?;
            }
            0x93 => match (self.pop()?, self.pop()?) {
                (Value::Text(name), Value::Text(module)) => self.name(&module, &name)?,
                _ => return Err("names something with what is no text".into()),
            },
            // A call, or a new object of a class.
            b'R' | 0x81 => {
                let (arguments, function) = (self.pop()?, self.pop()?);
                self.call(&function, &arguments)?;
            }
            b'Q' => {
                let id = self.pop()?;
                let storage = storage(&id)?;
                self.push(storage);
            }
            _ => return self.literal(opcode, bytes),
        }
        Ok(())
    }

    /// Opcodes that push a value, or gather some.
    fn literal(&mut self, opcode: u8, bytes: &mut Bytes<'_>) -> Result<(), String> {
        let value = match opcode {
            // Nothing, truths, lists and sets: nothing of them is looked at.
            b'N' | 0x88 | 0x89 | b']' | 0x8f => Value::Other,
            b'K' => Value::Int(bytes.array::<1>()?[0].into()),
            b'M' => Value::Int(bytes.u16()?.into()),
            b'J' => Value::Int(i32::from_le_bytes(bytes.array()?).into()),
            0x8a => {
                let [count] = bytes.array()?;
                long(bytes.take(count.into())?)
            }
            b'G' => {
                bytes.array::<8>()?;
                Value::Other
            }
            0x8c | b'U' => {
                let [count] = bytes.array()?;
                text(bytes.take(count.into())?)
            }
            b'X' | b'T' => {
                let count = bytes.u32()?;
                text(bytes.take(count as usize)?)
            }
            b'C' => {
                let [count] = bytes.array()?;
                bytes.take(count.into())?;
                Value::Other
            }
            b'B' => {
                let count = bytes.u32()?;
                bytes.take(count as usize)?;
                Value::Other
            }
            b'}' => {
                self.dicts.push(Vec::new());
                Value::Dict(self.dicts.len() - 1)
            }
            b')' => Value::Tuple(Vec::new()),
            b't' => nested(self.marked()?)?,
            0x85..=0x87 => {
                let count = usize::from(opcode - 0x84);
                let start = self.stack.len().checked_sub(count).ok_or_else(empty)?;
                nested(self.stack.split_off(start))?
            }
            _ => return self.gather(opcode),
        };
        self.push(value);
        Ok(())
    }

    /// Opcodes that put values into the one before them.
    fn gather(&mut self, opcode: u8) -> Result<(), String> {
        match opcode {
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.put(vec![key, value])
            }
            b'u' => {
                let pairs = self.marked()?;
                self.put(pairs)
            }
            b'a' => self.pop().map(drop),
            b'e' | 0x90 => self.marked().map(drop),
            other => Err(format!(
                "has the opcode {other:#04x}, which no checkpoint needs"
            )),
        }
    }

    fn put(&mut self, pairs: Vec<Value>) -> Result<(), String> {
        let &Value::Dict(index) = self.top()? else {
            // The state of something that is not looked at.
            return Ok(());
        };
        let mut pairs = pairs.into_iter();
        while let (Some(key), Some(value)) = (pairs.next(), pairs.next()) {
            self.dicts[index].push((key, value));
        }
        Ok(())
    }

    /// Gives an object its state, which is looked at only if the object is a dictionary of parameters.
    fn set_state(&mut self) -> Result<(), String> {
        let state = self.pop()?;
        let (&Value::Dict(object), Value::Dict(state)) = (self.top()?, state) else {
            return Ok(());
        };
        let pairs = self.dicts[state]
            .iter()
            .find_map(|(key, value)| match value {
                Value::Dict(inner) if matches!(key, Value::Text(key) if key == PARAMETERS) => {
                    Some(*inner)
                }
                _ => None,
            });
        if let Some(inner) = pairs.filter(|&inner| inner != object) {
            let pairs = self.dicts[inner].clone();
            self.built += pairs.len();
            self.dicts[object].extend(pairs);
        }
        Ok(())
    }

    fn push(&mut self, value: Value) {
        self.stack.push(value);
    }

    fn pop(&mut self) -> Result<Value, String> {
        self.stack.pop().ok_or_else(empty)
    }

    fn top(&self) -> Result<&Value, String> {
        self.stack.last().ok_or_else(empty)
    }

    fn marked(&mut self) -> Result<Vec<Value>, String> {
        let mark = self.marks.pop().filter(|&mark| mark <= self.stack.len());
        Ok(self.stack.split_off(mark.ok_or_else(empty)?))
    }

    fn remember(&mut self, index: usize) -> Result<(), String> {
        let value = self.top()?.clone();
        // Pickles number what they remember without gaps.
        if index > self.memo.len() {
            return Err(format!(
                "remembers value {index} after {}: it is damaged",
                self.memo.len()
            ));
        }
        // A tuple that holds others holds copies of them here: what grows without end is no checkpoint.
        self.built += size(&value);
        if index == self.memo.len() {
            self.memo.push(value);
        } else {
            self.memo[index] = value;
        }
        Ok(())
    }

    fn recall(&mut self, index: usize) -> Result<(), String> {
        let value = self.memo.get(index).cloned();
        let value = value.ok_or_else(|| {
            format!("recalls value {index}, which it did not remember: it is damaged")
        })?;
        self.built += size(&value);
        self.push(value);
        Ok(())
    }

    fn name(&mut self, module: &str, name: &str) -> Result<(), String> {
        let name = format!("{module}.{name}");
        let known = [
            ORDERED_DICT,
            PARAMETER_DICT,
            REBUILD_TENSOR,
            REBUILD_PARAMETER,
        ]
        .contains(&&*name)
            || INERT.contains(&&*name)
            || STORAGES.iter().any(|(storage, _)| *storage == name);
        if !known {
            return Err(format!(
                "is a pickle that names {name}, which no checkpoint needs and which could run code: it is not read; if you trust it, \
                 save it anew as safetensors"
            ));
        }
        self.push(Value::Name(name));
        Ok(())
    }

    fn call(&mut self, function: &Value, arguments: &Value) -> Result<(), String> {
        let (Value::Name(name), Value::Tuple(arguments)) = (function, arguments) else {
            return Err("calls what is no function: it is damaged".into());
        };
        let value = match (name.as_str(), arguments.as_slice()) {
            (ORDERED_DICT | PARAMETER_DICT, _) => {
                self.dicts.push(Vec::new());
                Value::Dict(self.dicts.len() - 1)
            }
            (REBUILD_TENSOR, [storage, offset, shape, stride, ..]) => {
                Value::Tensor(Box::new(tensor(storage, offset, shape, stride)?))
            }
            (REBUILD_PARAMETER, [tensor @ Value::Tensor(_), ..]) => tensor.clone(),
            (REBUILD_TENSOR | REBUILD_PARAMETER, _) => {
                return Err("builds a tensor of nothing: it is damaged".into());
            }
            _ => Value::Other,
        };
        self.push(value);
        Ok(())
    }
}

fn empty() -> String {
    "takes what is not there: it is damaged".into()
}

/// The rest of a line.
fn line(bytes: &mut Bytes<'_>) -> Result<String, String> {
    let end = bytes.0.iter().take(1024).position(|&byte| byte == b'\n');
    let end = end.ok_or_else(|| "has a name without an end: it is damaged".to_owned())?;
    let taken = bytes.take(end + 1)?;
    Ok(String::from_utf8_lossy(&taken[..end]).into_owned())
}
