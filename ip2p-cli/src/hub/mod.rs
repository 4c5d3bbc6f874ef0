//! Models from the hub: `--model ORG/NAME`, `ip2p pull`, `ip2p models`, `ip2p rm`.

mod env;
mod find;
mod list;
mod pull;

pub(crate) use find::{Asked, cached, find};
pub(crate) use list::{models, rm};
pub(crate) use pull::pull;
