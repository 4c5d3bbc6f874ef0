//! Addresses, and where answers lead.

use ureq::http::{HeaderMap, Uri};

use crate::client::{Failure, text};

/// Scheme, host and port.
pub(crate) fn origin(uri: &Uri) -> (Option<&str>, Option<String>, Option<u16>) {
    let standard = match uri.scheme_str() {
        Some("http") => Some(80),
        Some("https") => Some(443),
        _ => None,
    };
    let host = uri.host().map(str::to_ascii_lowercase);
    (uri.scheme_str(), host, uri.port_u16().or(standard))
}

/// Where an answer leads.
pub(crate) fn redirect(from: &Uri, headers: &HeaderMap) -> Result<Option<Uri>, Failure> {
    let host = from.host().unwrap_or_default();
    let odd = || Failure::Odd(format!("{host} redirects to an address that is none"));
    let target = text(headers, "location").ok_or_else(odd)?;
    let scheme = from.scheme_str().unwrap_or("https");
    let target = if let Some(rest) = target.strip_prefix("//") {
        format!("{scheme}://{rest}")
    } else if target.starts_with('/') {
        let authority = from.authority().map_or("", |authority| authority.as_str());
        format!("{scheme}://{authority}{target}")
    } else {
        target.to_owned()
    };
    let target: Uri = target.parse().map_err(|_| odd())?;
    match (scheme, target.scheme_str()) {
        ("https", Some("https")) | ("http", Some("http" | "https")) => Ok(Some(target)),
        ("https", Some("http")) => Err(Failure::Odd(format!(
            "{host} redirects to an address that is not encrypted"
        ))),
        _ => Err(odd()),
    }
}

#[cfg(test)]
mod tests {
    use ureq::http::header::LOCATION;

    use super::*;

    #[test]
    fn redirects_lead_where_they_say() {
        let from: Uri = "https://hub.co:8443/a/b?c=d".parse().unwrap();
        for (location, expected) in [
            ("/x/y?z=1", Some("https://hub.co:8443/x/y?z=1")),
            ("//cdn.co/x", Some("https://cdn.co/x")),
            (
                "https://cdn.co/x?Sig=a%2Fb",
                Some("https://cdn.co/x?Sig=a%2Fb"),
            ),
            ("http://cdn.co/x", None),
            ("x", None),
            ("ftp://cdn.co/x", None),
            ("file:///etc/passwd", None),
        ] {
            let found = redirect(
                &from,
                &HeaderMap::from_iter([(LOCATION, location.parse().unwrap())]),
            );
            let found = found.ok().flatten().map(|uri| uri.to_string());
            assert_eq!(found.as_deref(), expected, "{location}");
        }
        assert!(redirect(&from, &HeaderMap::new()).is_err());
    }
}
