//! What the environment says of the hub, by the names that all tools of Hugging Face know.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use ip2p::hub::HubOptions;
use ip2p::{Error, Result};

/// Looks a variable up; one that is set to nothing is not set.
type Lookup<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The options that the variables of this process make.
pub(super) fn options(offline: bool) -> Result<HubOptions> {
    let lookup = |name: &str| env::var_os(name);
    let mut options = from(&lookup, env::home_dir().as_deref())?;
    options.offline |= offline;
    Ok(options)
}

fn from(lookup: Lookup<'_>, home: Option<&Path>) -> Result<HubOptions> {
    let set = |name: &str| lookup(name).filter(|value| !value.is_empty());
    let text = |name: &str| set(name)?.into_string().ok();
    let path = |name: &str| set(name).map(|value| expanded(value.into(), home));
    let hf_home = path("HF_HOME").or_else(|| {
        let caches = path("XDG_CACHE_HOME").or_else(|| Some(home?.join(".cache")))?;
        Some(caches.join("huggingface"))
    });
    let cache = path("HF_HUB_CACHE")
        .or_else(|| path("HUGGINGFACE_HUB_CACHE"))
        .or_else(|| Some(hf_home.as_ref()?.join("hub")))
        .ok_or_else(|| {
            let expected = "a folder for the models of the hub: there is no home to put them in";
            Error::setting("HF_HOME", expected, "nothing")
        })?;
    let mut options = HubOptions::new(cache);
    if let Some(endpoint) = text("HF_ENDPOINT") {
        options.endpoint = endpoint;
    }
    let yes = |name: &str| text(name).is_some_and(|value| is_true(&value));
    options.offline = yes("HF_HUB_OFFLINE") || yes("TRANSFORMERS_OFFLINE");
    if !yes("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
        let file = path("HF_TOKEN_PATH").or_else(|| Some(hf_home?.join("token")));
        options.token = match text("HF_TOKEN").or_else(|| text("HUGGING_FACE_HUB_TOKEN")) {
            Some(token) => Some(token),
            None => file.map_or(Ok(None), |file| token(&file))?,
        };
    }
    options.proxy = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
        .into_iter()
        .find_map(text);
    let no_proxy = text("NO_PROXY").or_else(|| text("no_proxy"));
    let hosts = no_proxy.iter().flat_map(|hosts| hosts.split(','));
    let hosts = hosts.map(str::trim).filter(|host| !host.is_empty());
    options.no_proxy = hosts.map(str::to_owned).collect();
    Ok(options)
}

/// The token that `hf auth login` leaves, if it was called.
fn token(file: &Path) -> Result<Option<String>> {
    match std::fs::read_to_string(file) {
        Ok(token) => Ok(Some(token.trim().to_owned()).filter(|token| !token.is_empty())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(file, error)),
    }
}

/// The words that Hugging Face's tools take for yes.
fn is_true(value: &str) -> bool {
    ["1", "ON", "YES", "TRUE"]
        .iter()
        .any(|yes| yes.eq_ignore_ascii_case(value))
}

fn expanded(path: PathBuf, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> HubOptions {
        let lookup = |name: &str| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| OsString::from(value))
        };
        from(&lookup, Some(Path::new("/home/me"))).unwrap()
    }

    #[test]
    fn the_cache_is_where_other_tools_have_it() {
        for (variables, expected) in [
            (&[][..], "/home/me/.cache/huggingface/hub"),
            (&[("XDG_CACHE_HOME", "/x")], "/x/huggingface/hub"),
            (
                &[("XDG_CACHE_HOME", "/x"), ("HF_HOME", "~/hf")],
                "/home/me/hf/hub",
            ),
            (
                &[("HF_HOME", "/hf"), ("HUGGINGFACE_HUB_CACHE", "/old")],
                "/old",
            ),
            (
                &[("HF_HUB_CACHE", "/new"), ("HUGGINGFACE_HUB_CACHE", "/old")],
                "/new",
            ),
            (&[("HF_HUB_CACHE", "")], "/home/me/.cache/huggingface/hub"),
        ] {
            assert_eq!(of(variables).cache, Path::new(expected), "{variables:?}");
        }
        let error = from(&|_| None, None).unwrap_err().to_string();
        assert!(error.starts_with("HF_HOME must be a folder"), "{error}");
    }

    #[test]
    fn the_token_is_the_variable_s_or_that_of_the_login() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().to_str().unwrap();
        assert_eq!(of(&[("HF_HOME", home)]).token, None);
        std::fs::write(folder.path().join("token"), "hf_file\n").unwrap();
        let token =
            |variables: &[(&str, &str)]| of(&[&[("HF_HOME", home)], variables].concat()).token;
        assert_eq!(token(&[]).as_deref(), Some("hf_file"));
        assert_eq!(
            token(&[("HF_TOKEN", "hf_variable")]).as_deref(),
            Some("hf_variable")
        );
        assert_eq!(token(&[("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]), None);
        let elsewhere = folder.path().join("none");
        assert_eq!(
            token(&[("HF_TOKEN_PATH", elsewhere.to_str().unwrap())]),
            None
        );
    }

    #[test]
    fn the_rest_is_as_it_says() {
        let options = of(&[]);
        assert_eq!(
            (&*options.endpoint, options.offline),
            (HubOptions::ENDPOINT, false)
        );
        assert_eq!((options.proxy, options.no_proxy), (None, vec![]));
        let options = of(&[
            ("HF_ENDPOINT", "https://mirror"),
            ("HF_HUB_OFFLINE", "true"),
            ("https_proxy", "http://proxy:1"),
            ("NO_PROXY", "localhost, .inside"),
        ]);
        assert_eq!(
            (&*options.endpoint, options.offline),
            ("https://mirror", true)
        );
        assert_eq!(options.proxy.as_deref(), Some("http://proxy:1"));
        assert_eq!(options.no_proxy, ["localhost", ".inside"]);
        assert!(of(&[("TRANSFORMERS_OFFLINE", "1")]).offline);
        assert!(!of(&[("HF_HUB_OFFLINE", "0")]).offline);
    }
}
