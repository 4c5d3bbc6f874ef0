//! Where an edit is, and how it gets onto the photo: what leaves the rest alone.
//!
//! The model works on a small picture, and changes all of it a little. A user wants their photo back, at its own size and
//! with its own detail, changed where the sentence speaks of it. Three things stand between:
//!
//! - [`Mask`]: where the photo may change, from a file, a box, a place or the model's own attention; [`composite()`] keeps
//!   every byte of the rest;
//! - [`Relevance`]: where a sentence acts, from what it changes in the model's words;
//! - [`Place`]: the places that a sentence names, such as "in the top left corner"; [`Where`]: what a user asks for;
//! - [`view()`]: the part of the photo that the model is shown where little of it may change;
//! - [`carry()`]: the change of the small picture, brought to the photo along the photo's own edges.
//!
//! Pictures and bytes only: no tensors, and nothing of this crate knows what made the edit.

mod area;
mod carry;
mod composite;
mod focus;
mod mask;
mod measure;
mod place;
mod planes;
mod relevance;

pub use area::Where;
pub use carry::carry;
pub use composite::composite;
pub use focus::view;
pub use mask::Mask;
pub use place::Place;
pub use relevance::Relevance;
