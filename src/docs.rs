//! The pages of `docs/`.

#[doc = include_str!("../docs/architecture.md")]
pub mod architecture {}

#[doc = include_str!("../docs/editing.md")]
pub mod editing {}

#[doc = include_str!("../docs/text.md")]
pub mod text {}

#[doc = include_str!("../docs/checkpoints.md")]
pub mod checkpoints {}

#[doc = include_str!("../docs/units.md")]
pub mod units {}

#[doc = include_str!("../docs/parity.md")]
pub mod parity {}

#[doc = include_str!("../docs/backends.md")]
pub mod backends {}

#[doc = include_str!("../docs/training.md")]
pub mod training {}

#[doc = include_str!("../docs/performance.md")]
pub mod performance {}
