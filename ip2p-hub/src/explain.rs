//! What a failure means, in words.

use crate::client::{Client, Failure, Refusal};
use crate::id::ModelId;

/// Where one gets a token.
const TOKENS: &str = "https://huggingface.co/settings/tokens";

/// What a failure means, and what to do about it.
pub(crate) fn explain(client: &Client, id: &ModelId, failure: &Failure) -> (String, String) {
    match failure {
        Failure::Stopped => ("stopped".into(), "call again".into()),
        Failure::Away(reason) => {
            let advice = "check the connection; a download goes on where it ended";
            (reason.clone(), advice.into())
        }
        Failure::Odd(reason) => {
            let advice = "check HF_ENDPOINT, and what lies between here and there";
            (reason.clone(), advice.into())
        }
        Failure::Refused(refusal) => match refusal.status {
            401 | 403 => permission(client, id, refusal),
            404 => missing(client, id, refusal),
            _ => trouble(client, refusal),
        },
    }
}

fn permission(client: &Client, id: &ModelId, refusal: &Refusal) -> (String, String) {
    let Refusal { status, host, .. } = refusal;
    let page = client.url(id.name());
    let is_gated = refusal.code.as_deref() == Some("GatedRepo");
    match (status, client.has_token()) {
        (_, true) if is_gated => (
            format!("{host} gives this model only to those who asked for it"),
            format!("ask for access at {page}, as the user whose token HF_TOKEN is"),
        ),
        (_, false) if is_gated => (
            format!("{host} gives this model only to those who asked for it"),
            format!("ask for access at {page}, then set HF_TOKEN to a token of yours ({TOKENS})"),
        ),
        (401, true) => (
            format!("{host} has no such model, or does not take the token (401)"),
            format!("check the name, and HF_TOKEN ({TOKENS})"),
        ),
        (401, false) => (
            format!("{host} has no such model, or not for everybody (401)"),
            format!(
                "check the name; if the model is private, set HF_TOKEN to a token that may read it ({TOKENS})"
            ),
        ),
        _ => (
            format!("{host} does not let this token read the model (403)"),
            format!("set HF_TOKEN to one that may ({TOKENS}), or ask for access at {page}"),
        ),
    }
}

fn missing(client: &Client, id: &ModelId, refusal: &Refusal) -> (String, String) {
    let host = &refusal.host;
    match refusal.code.as_deref() {
        Some("RevisionNotFound") => (
            format!("{host} has the model, but no revision {}", id.revision()),
            format!(
                "{}/tree/main lists its branches and tags",
                client.url(id.name())
            ),
        ),
        Some("EntryNotFound") => (
            format!("{host} lists a file that it does not have (404)"),
            "try again later".into(),
        ),
        _ => (
            format!("{host} has no such model (404)"),
            "check the name".into(),
        ),
    }
}

fn trouble(client: &Client, refusal: &Refusal) -> (String, String) {
    let Refusal {
        status, wait, host, ..
    } = refusal;
    if *status != 429 {
        return (
            format!("{host} fails (status {status})"),
            "try again later".into(),
        );
    }
    let asked = wait.map_or(String::new(), |wait| {
        format!(", and asks to wait {} s", wait.as_secs())
    });
    let advice = if client.has_token() {
        "try again later"
    } else {
        "try again later; with HF_TOKEN set it answers more of them"
    };
    (
        format!("{host} has had too many requests (429){asked}"),
        advice.into(),
    )
}
