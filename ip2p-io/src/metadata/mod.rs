//! How a picture was made, inside the picture.
//!
//! Each file holds it twice. The text in AUTOMATIC1111's form (`parameters` in a PNG, EXIF `UserComment` in JPEG and
//! WebP, the description of a TIFF) is what other tools show; but it has no place for half of our settings, and a
//! sentence can be mistaken for it. So every setting is there as JSON too (an `ip2p` text in a PNG, XMP in the others),
//! and that is what is read back.

mod embeddings;
pub(crate) mod exif;
mod infotext;
mod loras;
mod read;
mod record;
pub(crate) mod xmp;

pub use embeddings::EmbeddingRecord;
pub use loras::LoraRecord;
pub use record::EditRecord;

/// The keyword of the text that other tools read, in a PNG.
pub(crate) const PNG_PARAMETERS_KEYWORD: &str = "parameters";

/// The keyword of the JSON, in a PNG.
pub(crate) const PNG_JSON_KEYWORD: &str = "ip2p";

/// The most bytes of metadata that a segment of a JPEG holds: its length is 16 bits wide and counts itself and the
/// longest of our prefixes.
pub(crate) const MAX_JPEG_SEGMENT: usize = 65_535 - 2 - xmp::JPEG_PREFIX.len();
