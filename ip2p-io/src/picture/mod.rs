//! Pictures: read, fitted to the model, turned into tensors and back, put back on the photo, written.
//!
//! Pictures are eight bits a channel here, as the model's are: the one place where they become tensors is
//! [`to_tensor`], and the one where they come back [`from_tensor`]. Transparency and the colour profile of a photo
//! never reach the model; they wait in the [`Photo`], and the edited photo gets them back.

mod decode;
mod encode;
mod file;
mod fit;
mod format;
mod photo;
mod resample;
mod rgb;
mod save;
mod tensor;

pub use decode::Limits;
pub(crate) use decode::open_decoder;
pub use encode::SaveOptions;
pub use file::{PhotoFile, sha256};
pub use fit::{fit, restore};
pub use format::PictureFormat;
pub use photo::Photo;
pub(crate) use photo::read_file;
pub use resample::resize_lanczos;
pub use rgb::RgbPicture;
pub use save::check_output;
pub use tensor::{Rounding, from_tensor, to_tensor};
