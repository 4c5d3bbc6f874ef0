//! What the hub says no to, and what is not taken from it.

use std::time::{Duration, Instant};

use ip2p_core::{Error, Precision, Result};
use ip2p_hub::Snapshot;

use crate::desk::{Desk, ID, UNET, model, names, pull};
use crate::loopback::Kind;

#[track_caller]
fn message(result: Result<Snapshot>) -> String {
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Hub { .. }), "{error:?}");
    error.to_string()
}

#[test]
fn what_does_not_exist_is_named() {
    let desk = Desk::new();
    for (id, words) in [
        (
            "org/modell",
            "org/modell: 127.0.0.1 has no such model (404); check the name",
        ),
        (
            "org/model@v2",
            "org/model@v2: 127.0.0.1 has the model, but no revision v2",
        ),
    ] {
        let message = message(pull(desk.options(), id, Precision::F32));
        assert!(message.starts_with(words), "{message}");
    }
    let gone = Kind::Status(404, vec![("X-Error-Code", "EntryNotFound".into())]);
    desk.hub.fault(UNET, 1, gone);
    let message = message(desk.pull());
    assert!(
        message.contains("lists a file that it does not have"),
        "{message}"
    );
    // Nothing that was refused left anything that looks like a model.
    assert_eq!(names(&desk.cache()), [".locks", "models--org--model"]);
    assert!(!desk.path("refs").exists());
}

#[test]
fn permission_is_said_how_to_get() {
    let desk = Desk::new();
    desk.hub.ask_for("hf_right");
    let message_ = message(desk.pull());
    assert!(
        message_.contains("(401)") && message_.contains("set HF_TOKEN to a token"),
        "{message_}"
    );
    let mut options = desk.options();
    options.token = Some("hf_wrong".into());
    let message_ = message(pull(options.clone(), ID, Precision::F32));
    assert!(
        message_.contains("does not take the token (401)"),
        "{message_}"
    );
    assert!(!message_.contains("hf_wrong"), "{message_}");
    options.token = Some("hf_right\n".into());
    for (status, code, words) in [
        (
            403,
            "GatedRepo",
            "gives this model only to those who asked for it; ask for access at http://127.0.0.1",
        ),
        (
            401,
            "GatedRepo",
            "gives this model only to those who asked for it",
        ),
        (403, "", "does not let this token read the model (403)"),
    ] {
        let kind = Kind::Status(status, vec![("X-Error-Code", code.into())]);
        desk.hub.fault("/api/", 1, kind);
        let message = message(pull(options.clone(), ID, Precision::F32));
        assert!(message.contains(words), "{message}");
    }
    pull(options, ID, Precision::F32).unwrap();
}

#[test]
fn the_token_goes_to_the_hub_and_to_nobody_else() {
    let desk = Desk::new();
    desk.hub.ask_for("hf_right");
    let mut options = desk.options();
    options.token = Some("hf_right".into());
    pull(options, ID, Precision::F32).unwrap();
    let seen = desk.hub.seen();
    assert!(seen.iter().any(|seen| seen.at_cdn));
    for seen in seen {
        let expected = (!seen.at_cdn).then_some("Bearer hf_right");
        assert_eq!(seen.authorization.as_deref(), expected, "{}", seen.line);
    }
}

#[test]
fn a_hub_that_is_asked_too_often_is_waited_for() {
    let desk = Desk::new();
    let wait = |seconds: &str| Kind::Status(429, vec![("Retry-After", seconds.into())]);
    desk.hub.fault("/api/", 1, wait("1"));
    let started = Instant::now();
    desk.pull().unwrap();
    assert!(started.elapsed() >= Duration::from_secs(1));
    // But not for an hour.
    desk.hub.fault("org/other", 1, wait("3600"));
    let message = message(pull(desk.options(), "org/other", Precision::F32));
    assert!(
        message.contains("too many requests (429), and asks to wait 3600 s"),
        "{message}"
    );
}

#[test]
fn a_hub_that_fails_is_asked_again_and_not_for_ever() {
    let desk = Desk::new();
    for status in [500, 502, 503] {
        desk.hub.fault("/", 1, Kind::Status(status, vec![]));
    }
    desk.pull().unwrap();
    let desk = Desk::new();
    desk.hub.fault("/", 99, Kind::Status(503, vec![]));
    let message_ = message(desk.pull());
    assert!(
        message_.contains("fails (status 503); try again later"),
        "{message_}"
    );
    assert_eq!(desk.asked().len(), 4);
    let mut options = desk.options();
    options.endpoint = "http://127.0.0.1:1".into();
    let message = message(pull(options, ID, Precision::F32));
    assert!(message.contains("127.0.0.1 does not answer"), "{message}");
}

#[test]
fn paths_that_lead_elsewhere_are_refused() {
    let desk = Desk::new();
    for path in [
        "../../../evil.json",
        "/tmp/evil.json",
        "unet/../../evil",
        "..\\evil",
    ] {
        let list = serde_json::json!({"sha": desk.commit, "siblings": [
            {"rfilename": "model_index.json", "size": 1, "blobId": desk.commit}, {"rfilename": path}]});
        desk.hub.fault("/api/", 1, Kind::Body(list.to_string()));
        let message = message(desk.pull());
        assert!(
            message.contains("leads out of the model's folder"),
            "{message}"
        );
    }
    let list = serde_json::json!({"sha": "../../evil", "siblings": []});
    desk.hub.fault("/api/", 1, Kind::Body(list.to_string()));
    assert!(message(desk.pull()).contains("names the commit \"../../evil\", which is none"));
    desk.hub.be_brief();
    let sum = vec![
        ("ETag", "\"../../evil\"".to_owned()),
        ("X-Repo-Commit", desk.commit.clone()),
    ];
    desk.hub.fault("HEAD /", 1, Kind::Status(200, sum));
    assert!(message(desk.pull()).contains("gives it the sum \"../../evil\", which is none"));
    assert!(!desk.cache().exists());
}

#[test]
fn what_is_no_pipeline_is_said_before_it_is_fetched() {
    let desk = Desk::new();
    let mut files = model();
    files.remove("model_index.json");
    desk.hub.commit(ID, &files);
    let message_ = message(desk.pull());
    let singles = "(instruct-pix2pix-00-22000.ckpt, instruct-pix2pix-00-22000.safetensors)";
    assert!(
        message_.contains("no model_index.json") && message_.contains(singles),
        "{message_}"
    );
    let mut files = model();
    files.retain(|name, _| !(name.starts_with("unet/") && name.ends_with("safetensors")));
    desk.hub.commit(ID, &files);
    let message_ = message(desk.pull());
    assert!(
        message_.contains("the unet has its weights only as Python pickles"),
        "{message_}"
    );
    files.retain(|name, _| !name.starts_with("unet/diffusion"));
    desk.hub.commit(ID, &files);
    assert!(message(desk.pull()).contains("the unet has no weights"));
    desk.hub.fault(
        "/api/",
        1,
        Kind::Body("<html>a portal of a hotel</html>".into()),
    );
    assert!(message(desk.pull()).contains("what answers is no hub of models"));
    assert!(!desk.asked().contains(&"CDN".to_owned()));
}

#[test]
fn redirects_in_circles_end() {
    let desk = Desk::new();
    let circle = format!("/org/model/resolve/{}/{UNET}", desk.commit);
    desk.hub
        .fault(UNET, 99, Kind::Status(302, vec![("Location", circle)]));
    assert!(message(desk.pull()).contains("redirects in circles"));
}
