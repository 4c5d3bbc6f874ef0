//! ip2p-models
