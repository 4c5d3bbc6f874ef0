//! How much memory an edit takes, told from the shapes of the networks, and how to keep it within a budget.

mod estimate;

use std::fmt;

use burn::tensor::Device;
use ip2p_core::{Bytes, Error, Precision, Result, Size, TargetSize};
use ip2p_models::vae::Tiling;

use super::Model;
use super::held::{Residency, Saving};
use crate::device::is_cpu;
use crate::options::EditOptions;
use crate::settings::Settings;

/// The shares of the longer side that tiles have, in the order in which they are tried.
const TILES: [u32; 2] = [2, 4];

/// The smallest tile, in latents.
const SMALLEST_TILE: usize = 16;

/// An edit whose memory is asked for.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MemoryEdit<'a> {
    /// The photo's size.
    pub photo: Size,
    /// Whether the model may be shown a part of the photo, of other proportions: where a mask is given.
    pub masked: bool,
    /// How many pictures run together.
    pub count: usize,
    /// How many more pictures of the photo's size are in memory beside: 0 of a plain edit.
    pub beside: usize,
    /// How many such edits run at the same time, each on threads of its own.
    pub at_once: usize,
    /// How they are made.
    pub options: &'a EditOptions,
}

impl<'a> MemoryEdit<'a> {
    /// One picture of a photo of this size.
    #[must_use]
    pub fn new(photo: Size, options: &'a EditOptions) -> Self {
        Self {
            photo,
            masked: false,
            count: 1,
            beside: 0,
            at_once: 1,
            options,
        }
    }

    /// Sets how many pictures run together.
    #[must_use]
    pub fn with_count(mut self, count: usize) -> Self {
        self.count = count;
        self
    }

    /// Sets how many more pictures of the photo's size are in memory beside.
    #[must_use]
    pub fn with_beside(mut self, beside: usize) -> Self {
        self.beside = beside;
        self
    }

    /// Sets how many such edits run at the same time.
    #[must_use]
    pub fn with_at_once(mut self, at_once: usize) -> Self {
        self.at_once = at_once;
        self
    }

    /// Sets whether a mask is given.
    #[must_use]
    pub fn with_mask(mut self, masked: bool) -> Self {
        self.masked = masked;
        self
    }
}

/// The memory of an edit where it is the most, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryUse {
    /// The part of the edit that takes the most: `load`, `sentence`, `encode`, `steps`, `decode` or `photo`.
    pub part: &'static str,
    /// The size that the model works at.
    pub size: Size,
    /// Weights, in their precision.
    pub weights: u64,
    /// What the networks compute.
    pub activations: u64,
    /// The photo and its result.
    pub pictures: u64,
    /// The rest of the program; 0 of a device that is not the CPU.
    pub program: u64,
}

impl MemoryUse {
    /// All of it.
    #[must_use]
    pub fn total(&self) -> Bytes {
        Bytes(self.weights + self.activations + self.pictures + self.program)
    }
}

impl fmt::Display for MemoryUse {
    /// What it is made of, in words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            part,
            size,
            weights,
            activations,
            pictures,
            program,
        } = *self;
        let [weights, activations, rest] = [weights, activations, pictures + program].map(Bytes);
        write!(
            f,
            "at {size}, most in the part \"{part}\": weights {weights}, activations {activations}, photo and program {rest}"
        )
    }
}

/// How edits keep within a budget: what [`Model::plan_memory`] chose.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct MemoryPlan {
    /// The budget.
    pub budget: Bytes,
    /// What they do for it: for [`Model::with_saving`].
    pub saving: Saving,
    /// What the largest edit then takes.
    pub uses: MemoryUse,
}

impl Model {
    /// How much memory an edit takes at most, from loading to the picture.
    ///
    /// On the CPU that is all of the process; of another device it is the weights and what the networks compute, beside which
    /// its driver and kernels have memory of their own.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] if the options make no sense with this model; as for [`Self::load`], what concerns the
    /// weights' files.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use ip2p::{EditOptions, MemoryEdit, Model, Precision, Size};
    ///
    /// let model = Model::open("instruct-pix2pix")?;
    /// let options = EditOptions::default();
    /// let edit = MemoryEdit::new(Size::new(1024, 768), &options);
    /// let uses = model.memory(&edit, Precision::Bf16, &ip2p::device_by_name("flex")?)?;
    /// println!("{}, {uses}", uses.total());
    /// # Ok::<(), ip2p::Error>(())
    /// ```
    pub fn memory(
        &self,
        edit: &MemoryEdit<'_>,
        precision: Precision,
        device: &Device,
    ) -> Result<MemoryUse> {
        let weights = self.weights(precision)?;
        self.uses(edit, self.saving, &weights, (precision, is_cpu(device)))
    }

    /// How these edits keep within a budget: the cheapest that does, in this order of cost. The branches of guidance run one after
    /// another; the autoencoder takes pictures in tiles of half their longer side, then of a quarter, whose result is near that
    /// of the whole, not equal; the text encoder is read when it is needed; each network is. The two together that cost less come
    /// before the one that costs more.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] if none does, which says what would be needed at least; those of [`Self::memory`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use ip2p::{EditOptions, MemoryEdit, Model, Precision, Size, device_by_name};
    ///
    /// let model = Model::open("instruct-pix2pix")?;
    /// let (device, options) = (device_by_name("flex")?, EditOptions::default());
    /// let edits = [MemoryEdit::new(Size::new(1024, 768), &options)];
    /// let plan = model.plan_memory("2.5GB".parse()?, &edits, Precision::Bf16, &device)?;
    /// println!("{}", plan.saving.choices().join(", "));
    /// let editor = model.with_saving(plan.saving).load(&device, Precision::Bf16, &mut |_| ())?;
    /// # Ok::<(), ip2p::Error>(())
    /// ```
    pub fn plan_memory(
        &self,
        budget: Bytes,
        edits: &[MemoryEdit<'_>],
        precision: Precision,
        device: &Device,
    ) -> Result<MemoryPlan> {
        let weights = self.weights(precision)?;
        let on = (precision, is_cpu(device));
        let plan = |saving: Saving| {
            let mut uses = MemoryUse::nothing();
            for edit in edits {
                uses = uses.larger(self.uses(edit, saving, &weights, on)?);
            }
            Ok::<_, Error>(MemoryPlan {
                budget,
                saving,
                uses,
            })
        };
        let mut least = plan(Saving::default())?;
        for saving in self.savings(edits)? {
            let plan = plan(saving)?;
            if plan.uses.total() <= budget {
                return Ok(plan);
            }
            if plan.uses.total() < least.uses.total() {
                least = plan;
            }
        }
        Err(too_little(&least, precision))
    }

    /// What is tried, from the cheapest on.
    fn savings(&self, edits: &[MemoryEdit<'_>]) -> Result<Vec<Saving>> {
        let tilings = self.tilings(edits)?;
        let all = [
            Residency::All,
            Residency::WithoutText,
            Residency::OneAtATime,
        ];
        let all = all.into_iter().flat_map(|residency| {
            let tilings = tilings.iter();
            tilings.flat_map(move |&tiling| {
                [false, true].map(|one_by_one| Saving {
                    one_by_one,
                    tiling,
                    residency,
                })
            })
        });
        Ok(all.collect())
    }

    /// The tiles that are tried: none, then some of the largest picture's sides.
    fn tilings(&self, edits: &[MemoryEdit<'_>]) -> Result<Vec<Option<Tiling>>> {
        let sizes = edits.iter().map(|edit| {
            Ok(self
                .model_size(edit, &self.settings(edit.options)?)?
                .longer())
        });
        let side = sizes
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .max()
            .unwrap_or(0);
        let factor = self.vae.vae_scale_factor();
        let tiles = TILES.map(|share| (side.div_ceil(share) as usize).next_multiple_of(factor));
        let tiles = tiles
            .into_iter()
            .filter(|&tile| tile >= SMALLEST_TILE * factor);
        let tiles = tiles.map(|tile| Some(Tiling::new(tile)));
        Ok(std::iter::once(None).chain(tiles).collect())
    }

    /// The largest size that the model may work at.
    fn model_size(&self, edit: &MemoryEdit<'_>, settings: &Settings) -> Result<Size> {
        let plan = settings
            .fit
            .plan(edit.photo, settings.size, self.size_step)?;
        let part = edit.masked || edit.options.region.is_limited();
        Ok(match settings.size {
            // Of a part of the photo the sides may be as long as each other.
            TargetSize::Side(_) if part => {
                let side = plan.model.longer();
                Size::new(side, side)
            }
            _ => plan.model,
        })
    }
}

impl MemoryUse {
    fn nothing() -> Self {
        Self {
            part: "load",
            size: Size::new(0, 0),
            weights: 0,
            activations: 0,
            pictures: 0,
            program: 0,
        }
    }

    fn larger(self, other: Self) -> Self {
        if self.total() < other.total() {
            other
        } else {
            self
        }
    }
}

/// The error of a budget that cannot be kept.
fn too_little(least: &MemoryPlan, precision: Precision) -> Error {
    let choices = match &*least.saving.choices() {
        [] => String::new(),
        choices => format!("; with {}", choices.join(", ")),
    };
    let (total, uses) = (least.uses.total(), least.uses);
    let expected = format!("at least {total} in {precision} ({uses}{choices})");
    Error::setting("max_memory", expected, least.budget)
}
