//! ip2p-io
