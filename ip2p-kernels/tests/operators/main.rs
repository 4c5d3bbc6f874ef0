//! The operators as callers see them: against their formulas in `f64`, and their gradients against those of their compositions.

mod formulas;
mod gradients;
mod reference;
