//! How many threads compute on the CPU.

use ip2p::{Error, Result};

/// Makes the CPU's work be shared by so many threads; without a number by as many as there are cores.
///
/// To be called once, before anything is computed.
///
/// # Errors
///
/// [`Error::InvalidSetting`] for none, or more than there are cores: they would only stand in each other's way.
pub(crate) fn share_work(threads: Option<usize>) -> Result<()> {
    let Some(threads) = threads else {
        return Ok(());
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if !(1..=cores).contains(&threads) {
        let expected = format!("between 1 and {cores}, the cores that this process may use");
        return Err(Error::setting("threads", expected, threads));
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    pool.build_global()
        .map_err(|error| Error::other("starting threads", error))
}

/// How many threads share the work.
pub(crate) fn count() -> usize {
    rayon::current_num_threads()
}
