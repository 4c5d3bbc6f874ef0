//! ip2p
