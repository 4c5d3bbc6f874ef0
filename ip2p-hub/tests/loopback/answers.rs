//! What the hub answers.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{Fault, Files, Kind, State, etag, is_large};

/// An answer before it is sent.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn new(
        status: u16,
        headers: &[(&'static str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> Self {
        let headers = headers
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        Self {
            status,
            headers: headers.collect(),
            body: body.into(),
        }
    }

    fn missing(code: &'static str) -> Self {
        Self::new(404, &[("X-Error-Code", code)], "not found")
    }
}

/// Leaves what was asked for: `bytes=N-`.
pub(super) fn cut_range(answer: &mut Answer, range: Option<&str>) {
    let Some(from) = range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')) else {
        return;
    };
    let (from, length) = (from.parse::<usize>().unwrap(), answer.body.len());
    if from >= length {
        *answer = Answer::new(416, &[("Content-Range", &format!("bytes */{length}"))], "");
        return;
    }
    answer.body.drain(..from);
    answer.status = 206;
    let range = format!("bytes {from}-{}/{length}", length - 1);
    answer.headers.push(("Content-Range", range));
}

impl State {
    pub(super) fn take_fault(&mut self, line: &str) -> Option<Kind> {
        let met = |fault: &&mut Fault| fault.times > 0 && line.contains(&fault.of);
        let fault = self.faults.iter_mut().find(met)?;
        fault.times -= 1;
        Some(fault.kind.clone())
    }

    /// What the hub itself says.
    pub(super) fn answer(
        &self,
        path: &str,
        authorization: Option<&str>,
        cdn: SocketAddr,
    ) -> Answer {
        let path = path.split_once('?').map_or(path, |(path, _)| path);
        if path == "/requests" {
            let lines: Vec<_> = self.seen.iter().map(|seen| &seen.line).collect();
            return Answer::new(200, &[], json!(lines).to_string());
        }
        if let Some(token) = &self.token
            && authorization != Some(&format!("Bearer {token}"))
        {
            return Answer::new(401, &[("X-Error-Code", "RepoNotFound")], "no");
        }
        let parts: Vec<_> = path.trim_start_matches('/').split('/').collect();
        let (org, name, kind, rest) = match parts.as_slice() {
            ["api", "models", org, name] => (org, name, "revision", &["main"][..]),
            ["api", "models", org, name, kind, rest @ ..] => (org, name, *kind, rest),
            [org, name, "resolve", rest @ ..] => (org, name, "resolve", rest),
            _ => return Answer::missing("NotFound"),
        };
        let id = format!("{org}/{name}");
        let (Some(commits), Some((revision, path))) = (self.models.get(&id), rest.split_first())
        else {
            return Answer::missing("RepoNotFound");
        };
        let revision = revision.replace("%2F", "/");
        let named = self.revisions.get(&format!("{id}@{revision}"));
        let found = commits
            .iter()
            .find(|(commit, _)| commit == named.unwrap_or(&revision));
        let Some((commit, files)) = found else {
            return Answer::missing("RevisionNotFound");
        };
        match kind {
            "resolve" => resolve(commit, files, &path.join("/"), cdn),
            "tree" => Answer::new(200, &[], tree(files).to_string()),
            _ => Answer::new(200, &[], self.info(&id, commit, files).to_string()),
        }
    }

    fn info(&self, id: &str, commit: &str, files: &Files) -> Value {
        let sibling = |(path, bytes): (&String, &Vec<u8>)| {
            let mut entry = json!({"rfilename": path});
            if !self.brief {
                let sum = etag(path, bytes);
                entry["size"] = bytes.len().into();
                entry["blobId"] = sum[..40].into();
                if is_large(path) {
                    entry["lfs"] = json!({"sha256": sum, "size": bytes.len(), "pointerSize": 130});
                }
            }
            entry
        };
        let siblings: Vec<_> = files.iter().map(sibling).collect();
        json!({"id": id, "modelId": id, "sha": commit, "private": false, "gated": false, "disabled": false,
            "downloads": 0, "likes": 0, "tags": [], "siblings": siblings})
    }

    /// A file by its sum.
    pub(super) fn large(&self, path: &str) -> Answer {
        let sum = path.trim_start_matches("/lfs/");
        let sum = sum.split_once('?').map_or(sum, |(sum, _)| sum);
        let commits = self.models.values().flatten();
        let mut files = commits.flat_map(|(_, files)| files);
        match files.find(|(path, bytes)| etag(path, bytes) == sum) {
            Some((_, bytes)) => Answer::new(200, &[], bytes.clone()),
            None => Answer::missing("EntryNotFound"),
        }
    }
}

fn tree(files: &Files) -> Value {
    let entry = |(path, bytes): (&String, &Vec<u8>)| {
        let sum = etag(path, bytes);
        let mut entry =
            json!({"type": "file", "path": path, "size": bytes.len(), "oid": sum[..40]});
        if is_large(path) {
            entry["lfs"] = json!({"oid": sum, "size": bytes.len(), "pointerSize": 130});
        }
        entry
    };
    files.iter().map(entry).collect()
}

fn resolve(commit: &str, files: &Files, path: &str, cdn: SocketAddr) -> Answer {
    let Some(bytes) = files.get(path) else {
        return Answer::missing("EntryNotFound");
    };
    let sum = format!("\"{}\"", etag(path, bytes));
    let commit = ("X-Repo-Commit", commit);
    if !is_large(path) {
        return Answer::new(200, &[commit, ("ETag", &sum)], bytes.clone());
    }
    let location = format!("http://{cdn}/lfs/{}?signature=a%2Fb", sum.trim_matches('"'));
    let size = bytes.len().to_string();
    let headers = [
        commit,
        ("X-Linked-ETag", &*sum),
        ("X-Linked-Size", &size),
        ("ETag", "\"of the redirect\""),
        ("Location", &location),
    ];
    Answer::new(302, &headers, "found elsewhere")
}
