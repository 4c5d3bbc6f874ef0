//! What a revision of a model holds, as the hub says.

use std::collections::BTreeMap;
use std::io::Read;

use hf_hub::{Repo, RepoType};
use serde::Deserialize;

use crate::client::{Answer, Client, Failure, Idle, Request, text};
use crate::id::{ModelId, is_commit};

/// The longest list of files that is read, in bytes.
const LONGEST: u64 = 64 << 20;

/// A revision's files.
#[derive(Debug)]
pub(crate) struct Listing {
    /// The commit that the revision is.
    pub(crate) commit: String,
    /// Its files, by their paths.
    pub(crate) files: BTreeMap<String, RemoteFile>,
}

/// A file on the hub.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RemoteFile {
    /// Its name in the cache, which is its sum: [`None`] where the list does not tell.
    pub(crate) etag: Option<String>,
    /// Its length.
    pub(crate) bytes: Option<u64>,
}

#[derive(Deserialize)]
struct Info {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    blob_id: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: Option<String>,
    size: Option<u64>,
}

impl Listing {
    /// Asks the hub.
    pub(crate) fn ask(
        client: &Client,
        id: &ModelId,
        retries: u32,
        idle: Idle<'_>,
    ) -> Result<Self, Failure> {
        let url = client.url(&format!("api/{}?blobs=true", repo(id).api_url()));
        let Answer { response, .. } = client.ask(Request::Get(&url), retries, idle)?;
        let mut json = Vec::new();
        let mut body = response.into_body().into_reader().take(LONGEST);
        body.read_to_end(&mut json)
            .map_err(|error| Failure::Away(format!("the list of files was cut off: {error}")))?;
        Self::parse(&json).map_err(Failure::Odd)
    }

    fn parse(json: &[u8]) -> Result<Self, String> {
        let info: Info = serde_json::from_slice(json)
            .map_err(|error| format!("what answers is no hub of models: {error}"))?;
        if !is_commit(&info.sha) {
            return Err(format!(
                "what answers names the commit {:?}, which is none",
                info.sha
            ));
        }
        let mut files = BTreeMap::new();
        for sibling in info.siblings {
            let name = sibling.rfilename;
            if !is_within(&name) {
                return Err(format!(
                    "the hub lists a file {name:?}, whose path leads out of the model's folder: nothing was fetched"
                ));
            }
            let (large, size) = (sibling.lfs.as_ref(), sibling.size);
            let file = RemoteFile {
                bytes: large.and_then(|lfs| lfs.size).or(size),
                etag: match sibling.lfs {
                    Some(lfs) => lfs.sha256,
                    None => sibling.blob_id,
                },
            };
            files.insert(name, file);
        }
        Ok(Self {
            commit: info.sha,
            files,
        })
    }

    /// The file's name in the cache and its length, which a mirror may not list: then they are asked for.
    pub(crate) fn described(
        &self,
        client: &Client,
        id: &ModelId,
        name: &str,
        idle: Idle<'_>,
    ) -> Result<(String, Option<u64>), Failure> {
        let listed = self.files.get(name).cloned().unwrap_or_default();
        let (etag, bytes) = if let Some(etag) = listed.etag {
            (etag, listed.bytes)
        } else {
            let url = address(client, id, &self.commit, name);
            let retries = client.options().retries;
            let answer = client.ask(Request::Head(&url), retries, idle)?;
            let (etag, bytes) = described_by(&answer);
            (etag.unwrap_or_default(), bytes.or(listed.bytes))
        };
        if is_blob_name(&etag) {
            Ok((etag, bytes))
        } else {
            let reason = format!("{name}: the hub gives it the sum {etag:?}, which is none");
            Err(Failure::Odd(reason))
        }
    }
}

/// The sum and the length that the hub's own headers tell, before those of where it leads.
fn described_by(answer: &Answer) -> (Option<String>, Option<u64>) {
    let headers = &answer.first;
    let etag = text(headers, "x-linked-etag").or_else(|| text(headers, "etag"));
    let etag = etag.map(|etag| etag.trim_start_matches("W/").trim_matches('"').to_owned());
    let length = match text(headers, "x-linked-size") {
        Some(size) => Some(size),
        // Of a redirect it is the length of the redirect's own page.
        None if answer.response.status().is_success() => text(headers, "content-length"),
        None => None,
    };
    (etag, length.and_then(|size| size.parse().ok()))
}

/// How the hub and its cache call the model.
pub(crate) fn repo(id: &ModelId) -> Repo {
    let revision = id.revision().to_owned();
    Repo::with_revision(id.name().to_owned(), RepoType::Model, revision)
}

/// Where a file of a commit is.
pub(crate) fn address(client: &Client, id: &ModelId, commit: &str, name: &str) -> String {
    let repo = repo(&id.at(commit));
    let path = format!(
        "{}/resolve/{}/{}",
        repo.url(),
        repo.url_revision(),
        escaped(name)
    );
    client.url(&path)
}

fn escaped(path: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    path.bytes().map(escape).collect()
}

/// Whether a path stays within its folder, on every system.
fn is_within(path: &str) -> bool {
    let is_plain = |part: &str| !matches!(part, "" | "." | "..");
    path.split('/').all(is_plain) && !path.contains(['\\', ':']) && !path.contains(char::is_control)
}

/// Whether this can be the name of a file among the blobs.
fn is_blob_name(etag: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    (1..=128).contains(&etag.len()) && etag.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn a_list_says_how_files_are_called_in_the_cache() {
        let json = format!(
            r#"{{"sha": "{SHA}", "private": false, "siblings": [
                {{"rfilename": "a.json", "size": 5, "blobId": "{SHA}"}},
                {{"rfilename": "b/c.safetensors", "size": 130, "blobId": "{SHA}",
                  "lfs": {{"sha256": "ff", "size": 7, "pointerSize": 130}}}},
                {{"rfilename": "d"}}]}}"#
        );
        let listing = Listing::parse(json.as_bytes()).unwrap();
        let file = |etag: Option<&str>, bytes| RemoteFile {
            etag: etag.map(str::to_owned),
            bytes,
        };
        assert_eq!(listing.commit, SHA);
        assert_eq!(listing.files["a.json"], file(Some(SHA), Some(5)));
        assert_eq!(listing.files["b/c.safetensors"], file(Some("ff"), Some(7)));
        assert_eq!(listing.files["d"], file(None, None));
    }

    #[test]
    fn paths_that_lead_out_of_the_folder_are_refused() {
        for path in [
            "../a",
            "a/../b",
            "/etc/passwd",
            "a//b",
            ".",
            "",
            "a/..",
            "C:/a",
            "..\\a",
            "a\0b",
        ] {
            let json = serde_json::json!({"sha": SHA, "siblings": [{"rfilename": path}]});
            let reason = Listing::parse(json.to_string().as_bytes()).unwrap_err();
            assert!(reason.contains("leads out"), "{path}: {reason}");
        }
        for etag in ["", "..", "a/b", "../../x", "a.b", "a\\b"] {
            assert!(!is_blob_name(etag), "{etag}");
        }
        for sha in ["main", "../../x", ""] {
            let json = serde_json::json!({"sha": sha, "siblings": []});
            assert!(
                Listing::parse(json.to_string().as_bytes()).is_err(),
                "{sha}"
            );
        }
    }

    #[test]
    fn what_is_no_list_is_said_to_be_none() {
        for json in ["", "<html>", "{}", "[]"] {
            let reason = Listing::parse(json.as_bytes()).unwrap_err();
            assert!(reason.contains("no hub of models"), "{reason}");
        }
    }

    #[test]
    fn addresses_are_escaped() {
        assert_eq!(escaped("unet/a b#?.json"), "unet/a%20b%23%3F.json");
    }
}
