//! Edits that go on from latents, not from a photo: the turns of a session.

use std::sync::Arc;

use burn::tensor::{Device, FloatDType, Tensor, TensorData};
use ip2p_core::{FitPlan, Result};
use ip2p_io::{EditRecord, Photo, RgbPicture, fit, to_tensor};
use ip2p_region::Mask;

use super::decode::Decoder;
use super::preview::LatentColours;
use super::request::EditRequest;
use super::view::View;
use super::{Editor, Steps};
use crate::device::dtype;
use crate::options::{EditOptions, Focus};

/// The latents of one picture as the autoencoder has them, unscaled, on the host.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Latents {
    /// `[1, channels, height, width]`.
    pub(crate) shape: [usize; 4],
    pub(crate) values: Arc<[f32]>,
}

impl Latents {
    fn of(tensor: Tensor<4>) -> Self {
        let shape = tensor.dims();
        let values: Vec<f32> = tensor
            .cast(FloatDType::F32)
            .into_data()
            .try_into_vec()
            .expect("just cast");
        Self {
            shape,
            values: values.into(),
        }
    }

    fn tensor(&self, device: &Device) -> Tensor<4> {
        Tensor::from_data(TensorData::new(self.values.to_vec(), self.shape), device)
    }
}

/// What a turn came to.
#[derive(Debug)]
pub(crate) struct MadeTurn {
    pub(crate) latents: Latents,
    /// Where the photo could change, at its size.
    pub(crate) mask: Option<Arc<Mask>>,
    /// Whether that is where the sentence acts, as the model showed it.
    pub(crate) found: bool,
    pub(crate) record: EditRecord,
    pub(crate) warnings: Vec<String>,
}

impl Editor {
    /// The latents of a photo that nobody edited.
    pub(crate) fn first_latents(
        &self,
        photo: &Photo,
        plan: FitPlan,
        options: &EditOptions,
    ) -> Result<Latents> {
        // Only the photo of a request is encoded.
        let request = EditRequest::new(photo, "");
        let view = View::whole(photo, plan);
        let (seen, _) = self.encode_photos(&[request], &[view], options)?;
        self.check_encoded(&seen)?;
        Ok(Latents::of(seen / self.model.profile.image_latents_scale))
    }

    /// The steps of an edit that sees `latents` as the photo; `first` are those of the photo itself.
    pub(crate) fn steps_of_turn(
        &self,
        request: &EditRequest<'_>,
        latents: &Latents,
        first: &Latents,
        options: &EditOptions,
    ) -> Result<Steps<'_>> {
        let profile = &self.model.profile;
        let requests = std::slice::from_ref(request);
        // The latents are of the whole photo, whatever part of it may change.
        let options = &options.clone().with_focus(Focus::Photo);
        let prepared = self.prepare_with(requests, options, |views| {
            let seen = latents.tensor(&self.device) * profile.image_latents_scale;
            let seen = seen.cast(dtype(self.precision));
            let rgb = to_tensor(&fit(request.photo, &views[0].plan)?, &self.device);
            let first = first.tensor(&self.device) * profile.scaling_factor;
            let colours = LatentColours::new(profile.family, &rgb, &first);
            Ok((seen, vec![colours]))
        })?;
        let timings = prepared.timings.clone();
        let mut steps = self.walk(prepared, options)?;
        steps.timings = timings;
        Ok(steps)
    }

    /// The picture of one image's latents, at the model's size.
    pub(crate) fn picture_of(
        &self,
        latents: &Latents,
        options: &EditOptions,
    ) -> Result<RgbPicture> {
        let decoder = Decoder {
            editor: self,
            vae: self.vae()?,
            options,
            step: 0,
        };
        decoder.decode(latents.tensor(&self.device))
    }
}

impl Steps<'_> {
    /// What one image has come to, before it is decoded.
    pub(crate) fn into_turn(mut self) -> Result<MadeTurn> {
        let scaling_factor = self.editor.model.profile.scaling_factor;
        let latents = Latents::of(self.result()? / scaling_factor);
        let mut image = self.images.swap_remove(0);
        self.narrow(0, &mut image)?;
        Ok(MadeTurn {
            latents,
            record: self.record(&image),
            mask: image.mask,
            found: image.found,
            warnings: image.warnings,
        })
    }
}
