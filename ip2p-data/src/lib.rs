//! Training examples for InstructPix2Pix: a picture, a sentence, and the picture that the sentence asks for.
//!
//! - [`scene`]: small drawn scenes, whose edits are exact, with the mask of what may change;
//! - [`effect`]: edits of a whole picture (snow, night, a sketch), computed on any picture;
//! - [`photo`]: crops of photographs, edited by those effects.
//!
//! Each of these is a [`Source`]: example `index` is a pure function of the source's seed and the index, the same on every
//! machine and in every order, so that training resumes where it stopped and a picture can be named by two numbers. And
//!
//! - [`folder`]: data sets on disk, in the layouts that people have, with aspect buckets.
//!
//! No tensors here: nothing of this crate knows what learns from it.

pub mod effect;
mod example;
pub mod folder;
pub mod measure;
pub mod photo;
pub mod scene;
mod sheet;

pub use example::{Example, Family, Phrasing, Source, names_a_side, rng};
pub use sheet::{Cell, sheet, sheet_of};
