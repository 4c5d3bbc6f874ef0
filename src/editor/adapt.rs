//! Other adaptations in an editor that is loaded.

use ip2p_core::{Precision, Result};
use ip2p_io::{Component, Lora};

use super::Editor;

impl Editor {
    /// Adds these low-rank adaptations, with their weights, in the place of those that there are; none takes all of them out.
    ///
    /// The editor is then what a fresh load with these adaptations gives, to the bit. Nothing is kept for it: the weights that an
    /// adaptation changes or changed are read again from the checkpoint, the others stay. That takes the time of reading them, and
    /// their memory twice until it is done.
    ///
    /// # Errors
    ///
    /// Those of [`Model::with_lora`](super::Model::with_lora) and [`Model::load`](super::Model::load), as when the checkpoint's files
    /// are no longer there: the editor is then what it was.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use ip2p::{Editor, Lora};
    ///
    /// # fn main() -> ip2p::Result<()> {
    /// let mut editor = Editor::load("instruct-pix2pix", &ip2p::device_by_name("flex")?)?;
    /// editor.set_loras([Lora::open("ghibli.safetensors", 0.8)?])?;
    /// editor.set_loras([])?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_loras(&mut self, loras: impl IntoIterator<Item = Lora>) -> Result<()> {
        let before = &self.model.checkpoint;
        let after = before.with_loras(loras)?;
        let precision = self.precision;
        let text_encoders = (self.text_encoders)
            .changed(|text| text.load_again(&self.model, &after, &self.device, precision))?;
        let unet = (self.unet).changed(|unet| {
            let unet = after.load_again(before, unet.clone(), Component::Unet, precision)?;
            Ok(match precision {
                Precision::Int8 => unet.quantize(),
                _ => unet,
            })
        })?;
        self.fingerprint = after.fingerprint(precision)?;
        self.text_encoders = text_encoders;
        self.unet = unet;
        self.model.checkpoint = after;
        Ok(())
    }
}
