//! How far the turns went from the first photo.

use ip2p_core::Result;
use ip2p_io::Photo;
use ip2p_region::Mask;

use super::Session;
use crate::editor::{Editor, fitted};

/// How far the picture after a turn is from the first photo.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Drift {
    /// The peak signal-to-noise ratio of the whole picture in dB; infinite if it is the photo.
    pub whole: f64,
    /// The same outside every mask until this turn: infinite if it is the photo to the byte there, none if there is no
    /// such place, because a turn had no mask or the masks cover everything.
    pub outside: Option<f64>,
}

impl Session {
    /// How far the picture after each turn that counts is from the first photo, the first turn first.
    ///
    /// With a mask of the caller's, the drift outside is that outside of it, whatever masks the turns had.
    ///
    /// # Errors
    ///
    /// Those of [`Session::picture`], but that no turn need count.
    pub fn compare(&mut self, editor: &Editor, outside: Option<&Mask>) -> Result<Vec<Drift>> {
        let path = self.path().to_vec();
        let plan = self.plan(editor)?;
        let first = self.draw(editor, &[])?;
        let mut drifts = Vec::with_capacity(path.len());
        for done in 1..=path.len() {
            let picture = self.draw(editor, &path[..done])?;
            let mask = match outside {
                Some(mask) => Some(mask.resized(self.photo.size())),
                None => self.everywhere_changed(&path[..done]),
            };
            let mask = match mask {
                Some(mask) if picture.size() != mask.size() => Some(fitted(&mask, &plan)?),
                mask => mask,
            };
            drifts.push(drift(&first, &picture, mask.as_ref()));
        }
        Ok(drifts)
    }

    /// Where any of these turns could change the photo, at its size; none if that is everywhere.
    pub(super) fn everywhere_changed(&self, path: &[u64]) -> Option<Mask> {
        let masks = path.iter().map(|turn| self.turns[turn].mask.as_deref());
        let masks: Vec<&Mask> = masks.collect::<Option<_>>()?;
        let masks = masks.into_iter().cloned();
        masks.reduce(|all, mask| all.union(&mask))
    }
}

fn drift(first: &Photo, picture: &Photo, mask: Option<&Mask>) -> Drift {
    let (first, picture) = (first.rgb(), picture.rgb());
    let whole = first.psnr(picture, |_| true);
    Drift {
        whole: whole.expect("a photo has pixels"),
        outside: mask.and_then(|mask| first.psnr(picture, |at| mask.weights()[at] == 0)),
    }
}
