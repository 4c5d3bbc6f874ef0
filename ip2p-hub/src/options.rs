//! Which hub, which cache, and as whom.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// What [`Hub`](crate::Hub) has to know; nothing is read from the environment.
#[derive(Clone)]
pub struct HubOptions {
    /// Where the hub is: `https://huggingface.co`, or a mirror of it. What Python's library calls `HF_ENDPOINT`.
    pub endpoint: String,
    /// The folder of the cache, with `models--ORG--NAME` in it: `HF_HUB_CACHE`, by default `~/.cache/huggingface/hub`.
    pub cache: PathBuf,
    /// Whose permissions to use, for models that not everybody may have: `HF_TOKEN`. It is sent to the endpoint's host
    /// alone.
    pub token: Option<String>,
    /// Whether to do without the network: `HF_HUB_OFFLINE`.
    pub offline: bool,
    /// A proxy to go through, `http://HOST:PORT` or `socks5://HOST:PORT`: `HTTPS_PROXY`.
    pub proxy: Option<String>,
    /// Hosts that are reached without the proxy: `NO_PROXY`.
    pub no_proxy: Vec<String>,
    /// How often a request that failed for a reason that passes is made again, default 5. Progress counts anew.
    pub retries: u32,
    /// How long to wait before the first of these, default 1 s; it doubles.
    pub retry_wait: Duration,
    /// The longest that a server may ask to wait, default 60 s; if it asks for more, that is an error.
    pub longest_wait: Duration,
    /// After how long without a byte a connection counts as dead, default 30 s.
    pub timeout: Duration,
}

impl HubOptions {
    /// Where the hub is unless one says otherwise.
    pub const ENDPOINT: &str = "https://huggingface.co";

    /// The public hub, as nobody in particular.
    #[must_use]
    pub fn new(cache: impl Into<PathBuf>) -> Self {
        Self {
            endpoint: Self::ENDPOINT.to_owned(),
            cache: cache.into(),
            token: None,
            offline: false,
            proxy: None,
            no_proxy: Vec::new(),
            retries: 5,
            retry_wait: Duration::from_secs(1),
            longest_wait: Duration::from_mins(1),
            timeout: Duration::from_secs(30),
        }
    }
}

/// Everything but the token, and the proxy, which may hold a password.
impl fmt::Debug for HubOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubOptions")
            .field("endpoint", &self.endpoint)
            .field("cache", &self.cache)
            .field("token", &self.token.as_ref().map(|_| "…"))
            .field("offline", &self.offline)
            .field("proxy", &self.proxy.as_ref().map(|_| "…"))
            .field("no_proxy", &self.no_proxy)
            .field("retries", &self.retries)
            .field("retry_wait", &self.retry_wait)
            .field("longest_wait", &self.longest_wait)
            .field("timeout", &self.timeout)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let mut options = HubOptions::new("cache");
        options.token = Some("hf_secret".into());
        options.proxy = Some("http://me:secret@proxy".into());
        let shown = format!("{options:?}");
        assert!(
            !shown.contains("secret") && shown.contains("huggingface.co"),
            "{shown}"
        );
    }
}
