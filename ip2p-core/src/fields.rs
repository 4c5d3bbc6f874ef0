//! Reading a checkpoint's configs field by field.
//!
//! serde would either let an unknown field pass, and with it a network that is not the one that was trained, or refuse
//! every field that a newer library adds. Here each field is taken out by name: one with a meaning for us becomes a
//! value, one that can only have the value that we support is checked, one that changes nothing is passed over, and
//! what is left at the end is an error. A field that is missing or null has the value that the reference library gives
//! it.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{Error, Result};

/// The fields of a config that have not been looked at yet.
///
/// # Examples
///
/// ```
/// use ip2p_core::Fields;
///
/// let mut fields = Fields::parse("vae", r#"{"_class_name": "AutoencoderKL", "latent_channels": 16, "twist": 2}"#)?;
/// fields.only("_class_name", &["AutoencoderKL".into()])?;
/// assert_eq!(fields.size("latent_channels", 4)?, 16);
/// assert_eq!(fields.size("norm_num_groups", 32)?, 32);
/// assert!(fields.finish().unwrap_err().to_string().contains("twist = 2"));
/// # Ok::<(), ip2p_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Fields {
    network: &'static str,
    left: Map<String, Value>,
}

impl Fields {
    /// The fields of `json`; `network` is what errors call the config.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if `json` is not a JSON object.
    pub fn parse(network: &'static str, json: &str) -> Result<Self> {
        match serde_json::from_str(json) {
            Ok(Value::Object(left)) => Ok(Self { network, left }),
            Ok(other) => Err(Error::config(
                network,
                format!("must be a JSON object, got {other}"),
            )),
            Err(error) => Err(Error::config(network, format!("not JSON: {error}"))),
        }
    }

    /// Takes a field, or [`None`] where it is missing or null.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if its value is not a `T`, in the words of `T` itself.
    pub fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>> {
        let value = self.left.remove(name).unwrap_or_default();
        serde_json::from_value(value)
            .map_err(|error| Error::config(self.network, format!("{name}: {error}")))
    }

    /// Takes a field, or `default` where it is missing or null.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if it is of another type than `expected` says.
    pub fn or<T: DeserializeOwned>(&mut self, name: &str, expected: &str, default: T) -> Result<T> {
        match self.left.remove(name) {
            None | Some(Value::Null) => Ok(default),
            Some(value) => serde_json::from_value(value.clone())
                .map_err(|_| self.unsupported(name, &value, expected)),
        }
    }

    /// Takes a size: a whole number above 0, or `default`.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if it is anything else.
    pub fn size(&mut self, name: &str, default: usize) -> Result<usize> {
        let expected = "a whole number above 0";
        match self.or(name, expected, default)? {
            0 => Err(self.unsupported(name, &Value::from(0), expected)),
            size => Ok(size),
        }
    }

    /// Takes a number, or `default`.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if it is not a number.
    pub fn number(&mut self, name: &str, default: f64) -> Result<f64> {
        self.or(name, "a number", default)
    }

    /// Takes `true` or `false`, or `default`.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if it is anything else.
    pub fn flag(&mut self, name: &str, default: bool) -> Result<bool> {
        self.or(name, "true or false", default)
    }

    /// Takes a list of sizes, none of them 0 and at least one, or `default`.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if it is anything else.
    pub fn sizes(&mut self, name: &str, default: &[usize]) -> Result<Vec<usize>> {
        let expected = "a list of whole numbers above 0";
        let sizes = self.or(name, expected, default.to_vec())?;
        if sizes.is_empty() || sizes.contains(&0) {
            return Err(self.unsupported(name, &Value::from(sizes), expected));
        }
        Ok(sizes)
    }

    /// Takes a list of counts, any of which may be 0, at least one long, or `default`.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if it is anything else.
    pub fn counts(&mut self, name: &str, default: &[usize]) -> Result<Vec<usize>> {
        let expected = "a list of whole numbers";
        let counts = self.or(name, expected, default.to_vec())?;
        if counts.is_empty() {
            return Err(self.unsupported(name, &Value::from(counts), expected));
        }
        Ok(counts)
    }

    /// Takes a field that must have one of the `supported` values if it is there at all; null must be among them to
    /// be allowed.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if it has another.
    pub fn only(&mut self, name: &str, supported: &[Value]) -> Result<()> {
        match self.left.remove(name) {
            Some(value) if !supported.contains(&value) => {
                let names: Vec<_> = supported.iter().map(Value::to_string).collect();
                Err(self.unsupported(name, &value, &names.join(" or ")))
            }
            _ => Ok(()),
        }
    }

    /// Refuses null in the fields that are left, for a reference library that takes a null at its word there and not as a
    /// missing field: call it once those fields are taken that may be null.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] that names the first.
    pub fn no_null(&self) -> Result<()> {
        match self.left.iter().find(|(_, value)| value.is_null()) {
            None => Ok(()),
            Some((name, null)) => Err(self.unsupported(name, null, "a value, or no such field")),
        }
    }

    /// Passes over fields that change nothing, and over those that begin with `_`, which are the library's own affair.
    pub fn ignore(&mut self, names: &[&str]) {
        self.left
            .retain(|name, _| !name.starts_with('_') && !names.contains(&name.as_str()));
    }

    /// Ends the reading.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] that lists the fields that nobody took: they may change the network in a way that we do not
    /// know.
    pub fn finish(self) -> Result<()> {
        if self.left.is_empty() {
            return Ok(());
        }
        let listed: Vec<_> = self
            .left
            .iter()
            .map(|(name, value)| format!("{name} = {value}"))
            .collect();
        Err(Error::config(
            self.network,
            format!(
                "{} may change the result in a way that is not supported; remove what does not",
                listed.join(", ")
            ),
        ))
    }

    /// The error for a field with a value that we cannot follow.
    #[must_use]
    pub fn unsupported(&self, name: &str, value: &Value, expected: &str) -> Error {
        Error::config(
            self.network,
            format!("{name} is {value}, supported is {expected}"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(json: &str) -> Fields {
        Fields::parse("vae", json).unwrap()
    }

    #[test]
    fn a_missing_or_null_field_has_the_default() {
        let mut fields = fields(r#"{"a": null, "c": 3}"#);
        let sizes = ["a", "b", "c"].map(|name| fields.size(name, 7).unwrap());
        assert_eq!(sizes, [7, 7, 3]);
        fields.finish().unwrap();
    }

    #[test]
    fn a_missing_or_null_field_is_none_and_a_wrong_one_says_so_itself() {
        let mut fields = fields(r#"{"a": null, "c": 3, "d": -1}"#);
        let sizes = ["a", "b", "c"].map(|name| fields.take::<usize>(name).unwrap());
        assert_eq!(sizes, [None, None, Some(3)]);
        let error = fields.take::<usize>("d").unwrap_err().to_string();
        assert!(error.starts_with("vae config: d: invalid value"), "{error}");
    }

    #[test]
    fn counts_may_be_zero_and_sizes_may_not() {
        let json = r#"{"a": [3, 0]}"#;
        assert_eq!(fields(json).counts("a", &[1]).unwrap(), [3, 0]);
        assert!(fields(json).sizes("a", &[1]).is_err());
        assert!(fields(r#"{"a": []}"#).counts("a", &[1]).is_err());
    }

    #[test]
    fn a_wrong_value_is_named_with_what_is_supported() {
        let cases = [
            (fields(r#"{"a": 0}"#).size("a", 1).unwrap_err(), "a is 0, "),
            (
                fields(r#"{"a": -1}"#).size("a", 1).unwrap_err(),
                "a is -1, ",
            ),
            (
                fields(r#"{"a": []}"#).sizes("a", &[1]).unwrap_err(),
                "a is [], ",
            ),
            (
                fields(r#"{"a": "x"}"#).number("a", 1.0).unwrap_err(),
                "a is \"x\", ",
            ),
            (
                fields(r#"{"a": "x"}"#)
                    .only("a", &["y".into(), Value::Null])
                    .unwrap_err(),
                "a is \"x\", supported is \"y\" or null",
            ),
        ];
        for (error, message) in cases {
            let error = error.to_string();
            assert!(error.contains(message), "{error} lacks {message}");
        }
    }

    #[test]
    fn a_field_that_nobody_took_is_an_error() {
        let mut fields = fields(r#"{"_name": "x", "dtype": "f", "twist": 2}"#);
        fields.ignore(&["dtype"]);
        let error = fields.finish().unwrap_err().to_string();
        assert!(error.starts_with("vae config: twist = 2 may"), "{error}");
    }

    #[test]
    fn what_is_not_an_object_is_an_error() {
        for json in ["", "[]", "{", "3"] {
            assert!(Fields::parse("vae", json).is_err(), "{json}");
        }
    }
}
