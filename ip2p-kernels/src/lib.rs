//! ip2p-kernels
