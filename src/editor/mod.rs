//! The edit: the one place where the crates meet.

mod adapt;
mod cost;
mod decode;
mod encode;
mod given;
mod held;
mod locate;
mod masked;
mod memory;
mod model;
mod network;
mod noise;
mod plan;
mod prepared;
mod preview;
mod relevance;
mod request;
mod scope;
mod shortcuts;
mod steps;
mod text;
mod told;
mod turn;
mod view;
mod words;

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use burn::tensor::{Device, Tensor};
use ip2p_core::{Precision, Result, Size};
use ip2p_io::{Checkpoint, EditRecord, Photo};
use ip2p_models::unet::UNet2DConditionModel;
use ip2p_models::vae::Autoencoder;
use ip2p_region::Mask;

pub use cost::EditCost;
pub use held::{Residency, Saving};
pub use memory::{MemoryEdit, MemoryPlan, MemoryUse};
pub use model::{Model, identify, inspect};
pub use prepared::Prepared;
pub use request::EditRequest;
pub use steps::{Step, Steps};

pub(crate) use given::Given;
pub(crate) use masked::fitted;
pub(crate) use turn::Latents;

use self::held::Held;
use self::text::TextEncoders;
use crate::options::EditOptions;

/// A loaded checkpoint that edits photos.
///
/// It holds no state of an edit, so several threads may edit with one at the same time.
///
/// # Examples
///
/// ```no_run
/// use ip2p::{EditOptions, Editor, Photo};
///
/// let editor = Editor::load("instruct-pix2pix", &ip2p::device_by_name("flex")?)?;
/// let photo = Photo::open("photo.jpg")?;
/// let edited = editor.edit(&photo, "make it snowy", &EditOptions::default())?;
/// edited.save("snowy.png")?;
/// # Ok::<(), ip2p::Error>(())
/// ```
#[derive(Debug)]
pub struct Editor {
    model: Model,
    text_encoders: Held<TextEncoders>,
    vae: Held<Autoencoder>,
    unet: Held<UNet2DConditionModel>,
    fingerprint: String,
    device: Device,
    precision: Precision,
    /// That of the autoencoder, which may need another.
    vae_precision: Precision,
}

/// An edited photo.
#[derive(Debug, Clone)]
pub struct Edited {
    /// The picture.
    pub photo: Photo,
    /// Where the photo could change, if not everywhere: at the photo's size. Of what the model found itself, only what changes did.
    pub mask: Option<Arc<Mask>>,
    /// How it was made: goes into the file, and `ip2p edit --from` reads it there.
    pub record: EditRecord,
    /// The size that the model worked at.
    pub model_size: Size,
    /// What a user should know, such as words that were cut.
    pub warnings: Vec<String>,
}

impl Edited {
    /// Writes the picture, with how it was made inside; the file's ending says the format.
    ///
    /// Returns what the format could not keep, such as transparency in a JPEG.
    ///
    /// # Errors
    ///
    /// [`Error::Image`](ip2p_core::Error::Image) if the ending is not one that can be written,
    /// [`Error::Io`](ip2p_core::Error::Io) if the file cannot: an earlier file of that name is then still what it was.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<Vec<String>> {
        self.photo.save(path, Some(&self.record))
    }
}

/// How long the parts of an edit took.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Timings {
    /// Tokens and text encoder.
    pub text: Duration,
    /// Fitting the photos and the autoencoder's encoder.
    pub encode: Duration,
    /// Each step.
    pub steps: Vec<Duration>,
    /// The autoencoder's decoder, and putting the pictures back at the photos' sizes.
    pub decode: Duration,
}

impl Editor {
    /// Loads a checkpoint from a folder as diffusers writes it, in `f32`: [`Model`] does it with other settings.
    ///
    /// # Errors
    ///
    /// Those of [`Model::open`] and [`Model::load`].
    pub fn load(folder: impl AsRef<Path>, device: &Device) -> Result<Self> {
        Model::open(folder)?.load(device, Precision::F32, &mut |_| ())
    }

    /// The small model that comes with ip2p, in `f32`.
    ///
    /// # Errors
    ///
    /// None but those of a damaged build.
    #[cfg(feature = "tiny")]
    pub fn tiny(device: &Device) -> Result<Self> {
        Model::tiny()?.load(device, Precision::F32, &mut |_| ())
    }

    /// Loads a checkpoint whose files are in memory, in `f32`: see [`Checkpoint::from_memory`].
    ///
    /// # Errors
    ///
    /// Those of [`Editor::load`], and of [`Checkpoint::from_memory`].
    pub fn load_from_memory<N, B>(
        name: &str,
        files: impl IntoIterator<Item = (N, B)>,
        device: &Device,
    ) -> Result<Self>
    where
        N: AsRef<str>,
        B: Into<Cow<'static, [u8]>>,
    {
        let checkpoint = Checkpoint::from_memory(name, files)?;
        Model::from_checkpoint(checkpoint)?.load(device, Precision::F32, &mut |_| ())
    }

    /// Edits a photo as the sentence says.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`](ip2p_core::Error::InvalidSetting) if an option or the sentence makes no sense;
    /// [`Error::NotFinite`](ip2p_core::Error::NotFinite) if the numbers ran away.
    pub fn edit(&self, photo: &Photo, instruction: &str, options: &EditOptions) -> Result<Edited> {
        let mut edited = self.edit_batch(&[EditRequest::new(photo, instruction)], options)?;
        // One request of one variation gives one picture.
        Ok(edited.swap_remove(0))
    }

    /// Makes several edits in one call: of different photos, in several variations.
    ///
    /// The pictures come in the order of the requests, a request's variations one after the other. Photos that the model
    /// works on at one size run as one batch. A picture is the same as if it had been asked for alone, but for the last
    /// digits of sums in another order; with [`Compat::Diffusers`](crate::Compat::Diffusers) all of a size share one
    /// generator, and it is not.
    ///
    /// # Errors
    ///
    /// Those of [`Editor::edit`], for the first request that has any; no picture is then given.
    pub fn edit_batch(
        &self,
        requests: &[EditRequest<'_>],
        options: &EditOptions,
    ) -> Result<Vec<Edited>> {
        let settings = self.model.settings(options)?;
        let mut done: Vec<Vec<Edited>> = requests.iter().map(|_| Vec::new()).collect();
        for group in request::by_model_size(requests, &settings, self.model.size_step)? {
            let members: Vec<_> = group.iter().map(|&index| requests[index].clone()).collect();
            let mut steps = self.begin(&members, options)?;
            for step in &mut steps {
                step?;
            }
            let mut edited = steps.finish()?.into_iter();
            for &index in &group {
                done[index].extend(edited.by_ref().take(requests[index].variations));
            }
        }
        Ok(done.into_iter().flatten().collect())
    }

    /// The steps of an edit, for the caller to walk: to show progress and previews, and to stop early.
    ///
    /// [`Steps::finish`] gives the pictures at any time: after the last step the result, before it what there is.
    ///
    /// # Errors
    ///
    /// Those of [`Editor::edit`].
    pub fn steps(&self, request: &EditRequest<'_>, options: &EditOptions) -> Result<Steps<'_>> {
        self.begin(std::slice::from_ref(request), options)
    }

    /// As [`Editor::steps`], of several photos that the model works on at one size.
    ///
    /// # Errors
    ///
    /// Those of [`Editor::edit_batch`]; [`Error::InvalidSetting`](ip2p_core::Error::InvalidSetting) if there is no request,
    /// or the model would work on the photos at different sizes.
    pub fn steps_of(
        &self,
        requests: &[EditRequest<'_>],
        options: &EditOptions,
    ) -> Result<Steps<'_>> {
        self.begin(requests, options)
    }

    /// The model: the checkpoint's conventions, and what its pictures' sizes are.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Whether the device still computes: a device of another machine may be gone, or one may have broken down.
    ///
    /// # Errors
    ///
    /// [`Error::Device`](ip2p_core::Error::Device) if what it gives is wrong.
    ///
    /// # Panics
    ///
    /// Where the backend does: most do if the device is gone.
    pub fn check_device(&self) -> Result<()> {
        let ones = Tensor::<2>::ones([8, 8], &self.device);
        let sum = ones.clone().matmul(ones).sum().into_scalar::<f32>();
        if (sum - 512.0).abs() < 0.5 {
            return Ok(());
        }
        Err(ip2p_core::Error::Device {
            device: format!("{:?}", self.device),
            reason: format!("computes 8 x 8 x 8 as {sum}"),
        })
    }

    /// The number format of the networks.
    #[must_use]
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The checkpoint's fingerprint: [`Checkpoint::fingerprint`](ip2p_io::Checkpoint::fingerprint).
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn several_threads_can_share_an_editor() {
        fn assert_shared<T: Send + Sync>() {}
        assert_shared::<super::Editor>();
    }
}
