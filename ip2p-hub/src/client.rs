//! Requests to the hub: redirects, the token, and trying again.

use std::ops::ControlFlow;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ip2p_core::{Error, Result};
use ureq::http::{HeaderMap, Response, Uri};
use ureq::{Agent, Body, Proxy};

use crate::address::{origin, redirect};
use crate::options::HubOptions;

/// How many redirects are followed.
const REDIRECTS: usize = 10;

/// How long to sleep before asking whether to go on sleeping.
const NAP: Duration = Duration::from_millis(100);

/// Says, between other things, whether to go on.
pub(crate) type Idle<'a> = &'a mut dyn FnMut() -> ControlFlow<()>;

/// Why there is no answer that one can use.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The network is away, or breaks.
    Away(String),
    /// What came is no answer of a hub.
    Odd(String),
    /// The hub says no.
    Refused(Refusal),
    /// The caller asked to stop.
    Stopped,
}

/// What the hub says when it says no.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// The status.
    pub(crate) status: u16,
    /// The hub's own word for it, such as `RepoNotFound`.
    pub(crate) code: Option<String>,
    /// How long it asks to wait.
    pub(crate) wait: Option<Duration>,
    /// Who said so.
    pub(crate) host: String,
}

/// An answer, and what the hub said on the way to it.
pub(crate) struct Answer {
    /// The headers of the hub's own answer, before a redirect led elsewhere.
    pub(crate) first: HeaderMap,
    /// The last answer.
    pub(crate) response: Response<Body>,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Request<'a> {
    /// What there is at the address.
    Get(&'a str),
    /// The same from this byte on.
    Rest(&'a str, u64),
    /// The headers alone, and those of the hub itself: redirects to other hosts are not followed.
    Head(&'a str),
}

/// A connection to one hub.
pub(crate) struct Client {
    agent: Agent,
    endpoint: Uri,
    authorization: Option<String>,
    options: HubOptions,
}

impl Client {
    pub(crate) fn new(options: HubOptions) -> Result<Self> {
        let refused = |expected| Error::setting("endpoint", expected, &options.endpoint);
        let endpoint: Uri = (options.endpoint.trim_end_matches('/').parse())
            .map_err(|_| refused("an address, such as https://huggingface.co"))?;
        if !matches!(endpoint.scheme_str(), Some("http" | "https")) || endpoint.host().is_none() {
            return Err(refused("an address that begins with https:// or http://"));
        }
        let token = options.token.as_deref().map(str::trim);
        let token = token.filter(|token| !token.is_empty());
        if token.is_some_and(|token| !token.bytes().all(|b| b.is_ascii_graphic())) {
            let expected = "a token of the hub, letters and digits such as hf_…";
            return Err(Error::setting("token", expected, "something else"));
        }
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("ip2p/", env!("CARGO_PKG_VERSION")))
            // A length and a range count the bytes of the file, which a compression would change.
            .accept_encoding("identity")
            .proxy(proxy(&options)?)
            .timeout_connect(Some(options.timeout))
            .timeout_recv_response(Some(options.timeout))
            .timeout_per_read(Some(options.timeout))
            .build()
            .into();
        Ok(Self {
            agent,
            endpoint,
            authorization: token.map(|token| format!("Bearer {token}")),
            options,
        })
    }

    pub(crate) fn options(&self) -> &HubOptions {
        &self.options
    }

    pub(crate) fn has_token(&self) -> bool {
        self.authorization.is_some()
    }

    /// The address of something on the hub.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.options.endpoint.trim_end_matches('/'))
    }

    /// Asks, as often as the failure is of a kind that passes and `retries` allow.
    pub(crate) fn ask(
        &self,
        request: Request<'_>,
        retries: u32,
        idle: Idle<'_>,
    ) -> Result<Answer, Failure> {
        let mut attempt = 0;
        loop {
            let failure = match self.follow(request) {
                Ok(answer) if is_usable(answer.response.status().as_u16(), request) => {
                    return Ok(answer);
                }
                Ok(answer) => Failure::Refused(self.refusal(&answer)),
                Err(failure) => failure,
            };
            let wait = match &failure {
                Failure::Odd(_) | Failure::Stopped => return Err(failure),
                Failure::Refused(refusal) if !is_transient(refusal.status) => return Err(failure),
                Failure::Refused(Refusal {
                    wait: Some(wait), ..
                }) => *wait,
                _ => self.backoff(attempt),
            };
            if attempt >= retries || wait > self.options.longest_wait {
                return Err(failure);
            }
            nap(wait, idle)?;
            attempt += 1;
        }
    }

    /// How long to wait after so many failures.
    pub(crate) fn backoff(&self, attempt: u32) -> Duration {
        let doubled = self.options.retry_wait.saturating_mul(1 << attempt.min(16));
        doubled.min(self.options.longest_wait)
    }

    /// Asks once, and follows where it is led.
    fn follow(&self, request: Request<'_>) -> Result<Answer, Failure> {
        let (Request::Get(url) | Request::Rest(url, _) | Request::Head(url)) = request;
        let mut url = url.to_owned();
        let mut first = None;
        for _ in 0..=REDIRECTS {
            let uri: Uri = (url.parse())
                .map_err(|_| Failure::Odd(format!("{url} is no address that can be asked")))?;
            let response = self.once(request, &uri)?;
            let here = self.is_ours(&uri);
            if here || first.is_none() {
                first = Some(response.headers().clone());
            }
            let target = match response.status().as_u16() {
                301 | 302 | 303 | 307 | 308 => redirect(&uri, response.headers())?,
                _ => None,
            };
            let follows =
                |target: &Uri| !matches!(request, Request::Head(_)) || self.is_ours(target);
            match target.filter(follows) {
                Some(target) => url = target.to_string(),
                None => {
                    return Ok(Answer {
                        first: first.unwrap_or_default(),
                        response,
                    });
                }
            }
        }
        Err(Failure::Odd(format!("{url} redirects in circles")))
    }

    fn once(&self, request: Request<'_>, uri: &Uri) -> Result<Response<Body>, Failure> {
        let mut builder = match request {
            Request::Head(_) => self.agent.head(uri),
            _ => self.agent.get(uri),
        };
        if let Request::Rest(_, from @ 1..) = request {
            builder = builder.header("Range", format!("bytes={from}-"));
        }
        // The token opens the hub's doors; other hosts are led to by addresses that are signed.
        if let Some(authorization) = self.authorization.as_ref().filter(|_| self.is_ours(uri)) {
            builder = builder.header("Authorization", authorization);
        }
        builder.call().map_err(|error| {
            let host = uri.host().unwrap_or_default();
            Failure::Away(format!("{host} does not answer: {error}"))
        })
    }

    /// Whether this address is on the hub's own host.
    fn is_ours(&self, uri: &Uri) -> bool {
        origin(uri) == origin(&self.endpoint)
    }

    fn refusal(&self, answer: &Answer) -> Refusal {
        let (first, last) = (&answer.first, answer.response.headers());
        let code = text(last, "x-error-code").or_else(|| text(first, "x-error-code"));
        Refusal {
            status: answer.response.status().as_u16(),
            code: code.map(str::to_owned),
            wait: wait(last),
            host: self.endpoint.host().unwrap_or_default().to_owned(),
        }
    }
}

/// Sleeps, unless told to stop.
pub(crate) fn nap(time: Duration, idle: Idle<'_>) -> Result<(), Failure> {
    let end = Instant::now() + time;
    loop {
        if idle().is_break() {
            return Err(Failure::Stopped);
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        sleep(left.min(NAP));
    }
}

/// A header as text.
pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn proxy(options: &HubOptions) -> Result<Option<Proxy>> {
    let Some(address) = options
        .proxy
        .as_deref()
        .filter(|address| !address.is_empty())
    else {
        return Ok(None);
    };
    // The address is not repeated: it may hold a password.
    let refused = |_| {
        let expected = "an address such as http://HOST:PORT or socks5://HOST:PORT";
        Error::setting("proxy", expected, "something else")
    };
    let parsed = Proxy::new(address).map_err(refused)?;
    let mut builder = Proxy::builder(parsed.protocol())
        .host(parsed.host())
        .port(parsed.port());
    if let Some(name) = parsed.username() {
        builder = builder.username(name);
    }
    if let Some(password) = parsed.password() {
        builder = builder.password(password);
    }
    for host in &options.no_proxy {
        builder = builder.no_proxy(host);
    }
    builder.build().map(Some).map_err(refused)
}

/// Statuses to go on with: a range that is not there tells that the file is another than was thought.
fn is_usable(status: u16, request: Request<'_>) -> bool {
    match request {
        Request::Get(_) => status == 200,
        Request::Rest(..) => matches!(status, 200 | 206 | 416),
        Request::Head(_) => matches!(status, 200 | 301 | 302 | 303 | 307 | 308),
    }
}

fn is_transient(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
}

/// How long an answer asks to wait: `Retry-After` in seconds, or `t=` of the hub's `RateLimit`.
fn wait(headers: &HeaderMap) -> Option<Duration> {
    let after = text(headers, "retry-after").and_then(|text| text.trim().parse().ok());
    let limit = || {
        let mut parts = text(headers, "ratelimit")?.split(';');
        parts.find_map(|part| part.trim().strip_prefix("t=")?.parse().ok())
    };
    after.or_else(limit).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let pair =
            |(name, value): &(&'static str, &str)| (name.parse().unwrap(), value.parse().unwrap());
        fields.iter().map(pair).collect()
    }

    #[test]
    fn the_token_is_for_one_host_and_port_alone() {
        let mut options = HubOptions::new("cache");
        options.endpoint = "https://Hub.co/mirror/".into();
        let client = Client::new(options).unwrap();
        assert_eq!(client.url("a/b"), "https://Hub.co/mirror/a/b");
        for (url, ours) in [
            ("https://hub.co/x", true),
            ("https://hub.co:443/x", true),
            ("http://hub.co/x", false),
            ("https://hub.co:444/x", false),
            ("https://hub.co.evil.co/x", false),
            ("https://evil.co/hub.co", false),
        ] {
            assert_eq!(client.is_ours(&url.parse().unwrap()), ours, "{url}");
        }
    }

    #[test]
    fn the_hub_says_how_long_to_wait() {
        for (fields, seconds) in [
            (&[("retry-after", "7")][..], Some(7)),
            (&[("ratelimit", "\"api\";r=0;t=55")], Some(55)),
            (&[("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT")], None),
            (&[], None),
        ] {
            let expected = seconds.map(Duration::from_secs);
            assert_eq!(wait(&headers(fields)), expected, "{fields:?}");
        }
    }

    #[test]
    fn settings_that_make_no_request_are_refused() {
        type Change = fn(&mut HubOptions);
        let cases: [(Change, &str); 5] = [
            (
                |options| options.endpoint = "huggingface.co".into(),
                "endpoint must be",
            ),
            (
                |options| options.endpoint = "ftp://x".into(),
                "endpoint must be",
            ),
            (
                |options| options.endpoint = String::new(),
                "endpoint must be",
            ),
            (
                |options| options.token = Some("hf_a b".into()),
                "token must be",
            ),
            (
                |options| options.proxy = Some("gopher://me:secret@x".into()),
                "proxy must be",
            ),
        ];
        for (change, words) in cases {
            let mut options = HubOptions::new("cache");
            change(&mut options);
            let message = Client::new(options).err().unwrap().to_string();
            assert!(
                message.contains(words) && !message.contains("secret"),
                "{message}"
            );
        }
    }
}
