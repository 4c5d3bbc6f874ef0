//! What is asked for, and what is written.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use ip2p_core::Precision;
use ip2p_hub::Hub;

use crate::desk::{Desk, ID, UNET, model, names, pull, pull_watched};
use crate::loopback::{Kind, files_of};

/// The files of a model that an edit in `f32` needs.
const NEEDED: [&str; 10] = [
    "model_index.json",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "tokenizer/merges.txt",
    "tokenizer/vocab.json",
    "unet/config.json",
    "vae/config.json",
    "text_encoder/model.safetensors",
    UNET,
    "vae/diffusion_pytorch_model.safetensors",
];

fn list(revision: &str) -> String {
    format!("GET /api/models/org/model/revision/{revision}?blobs=true")
}

#[test]
fn what_an_edit_needs_is_fetched_and_nothing_else() {
    let desk = Desk::new();
    let snapshot = desk.pull().unwrap();
    assert_eq!(snapshot.folder(), desk.path("snapshots").join(&desk.commit));
    let mut expected = model();
    expected.retain(|name, _| NEEDED.contains(&name.as_str()));
    assert_eq!(files_of(snapshot.folder()), expected);
    let mut asked = vec![list("main")];
    for name in NEEDED {
        asked.push(format!("GET {name}"));
        if name.ends_with("safetensors") {
            asked.push("CDN".into());
        }
    }
    assert_eq!(desk.asked(), asked);
    let main = fs::read_to_string(desk.path("refs/main")).unwrap();
    assert_eq!(main, desk.commit);
    assert_eq!(desk.blobs().len(), 10);
    assert_eq!(names(&desk.cache()), [".locks", "models--org--model"]);
}

#[test]
fn a_model_that_is_there_is_only_asked_about() {
    let desk = Desk::new();
    desk.pull().unwrap();
    desk.hub.seen();
    let snapshot = desk.pull().unwrap();
    assert_eq!((snapshot.missing_bytes(), snapshot.note()), (0, None));
    assert_eq!(desk.asked(), [list("main")]);
    // A commit never changes.
    let pinned = pull(desk.options(), &snapshot.name(), Precision::F32).unwrap();
    assert_eq!(pinned.folder(), snapshot.folder());
    assert_eq!(desk.asked(), Vec::<String>::new());
}

#[test]
fn of_a_new_commit_only_what_changed_is_fetched() {
    let desk = Desk::new();
    let old = desk.pull().unwrap();
    let mut files = model();
    files.insert("scheduler/scheduler_config.json".into(), "{}".into());
    let commit = desk.hub.commit(ID, &files);
    desk.hub.seen();
    let new = desk.pull().unwrap();
    assert_eq!(new.commit(), commit);
    assert_eq!(
        desk.asked(),
        [list("main"), "GET scheduler/scheduler_config.json".into()]
    );
    assert_eq!(fs::read_to_string(desk.path("refs/main")).unwrap(), commit);
    for snapshot in [&old, &new] {
        assert_eq!(fs::read(snapshot.folder().join(UNET)).unwrap(), files[UNET]);
    }
    assert_eq!(desk.blobs().len(), 11);
}

#[test]
fn in_half_precision_the_smaller_files_do() {
    let desk = Desk::new();
    for precision in [Precision::F16, Precision::Bf16] {
        let snapshot = pull(desk.options(), ID, precision).unwrap();
        let weights = |part: &str| {
            let mut names = names(&snapshot.folder().join(part));
            names.retain(|name| name.ends_with("safetensors"));
            names
        };
        assert_eq!(
            weights("unet"),
            ["diffusion_pytorch_model.fp16.safetensors"]
        );
        assert_eq!(weights("text_encoder"), ["model.fp16.safetensors"]);
        assert_eq!(weights("vae"), ["diffusion_pytorch_model.safetensors"]);
    }
    // For f32 they do not.
    let snapshot = desk.pull().unwrap();
    assert!(snapshot.folder().join(UNET).is_file());
    // Where the larger ones are, no smaller ones are fetched.
    let desk = Desk::new();
    desk.pull().unwrap();
    desk.hub.seen();
    pull(desk.options(), ID, Precision::F16).unwrap();
    assert_eq!(desk.asked(), [list("main")]);
}

#[test]
fn a_revision_is_a_branch_a_tag_or_a_commit() {
    let desk = Desk::new();
    let mut files = model();
    files.insert("unet/config.json".into(), "{}".into());
    let newer = desk.hub.commit(ID, &files);
    desk.hub.name(ID, "refs/pr/1", &desk.commit);
    for (revision, commit) in [
        ("refs/pr/1", &desk.commit),
        ("main", &newer),
        (&*desk.commit, &desk.commit),
    ] {
        let id = format!("{ID}@{revision}");
        assert_eq!(
            pull(desk.options(), &id, Precision::F32).unwrap().commit(),
            commit
        );
    }
    assert_eq!(
        fs::read_to_string(desk.path("refs/refs/pr/1")).unwrap(),
        desk.commit
    );
    assert_eq!(names(&desk.path("refs")), ["main", "refs"]);
}

#[test]
fn a_mirror_that_lists_no_sums_is_asked_for_them() {
    let desk = Desk::new();
    desk.hub.be_brief();
    let snapshot = desk.pull().unwrap();
    let mut expected = model();
    expected.retain(|name, _| NEEDED.contains(&name.as_str()));
    assert_eq!(files_of(snapshot.folder()), expected);
    let asked = desk.asked();
    assert_eq!(
        asked.iter().filter(|line| line.starts_with("HEAD")).count(),
        10
    );
    assert_eq!(desk.blobs().len(), 10);
    assert!(
        desk.blobs()
            .iter()
            .all(|name| [40, 64].contains(&name.len()))
    );
}

#[test]
fn a_model_that_has_moved_is_followed() {
    let desk = Desk::new();
    desk.hub.commit("new-org/model", &model());
    let to = "/api/models/new-org/model/revision/main?blobs=true".to_owned();
    desk.hub.fault(
        "/api/models/org/",
        1,
        Kind::Status(307, vec![("Location", to)]),
    );
    assert_eq!(desk.pull().unwrap().commit(), desk.commit);
}

#[test]
fn what_a_model_is_can_be_known_before_its_weights_are_there() {
    let desk = Desk::new();
    let hub = Hub::new(desk.options()).unwrap();
    let watch = &mut |_: &ip2p_hub::HubProgress<'_>| ControlFlow::Continue(());
    let id = ID.parse().unwrap();
    let snapshot = hub.snapshot(&id, Precision::F32, watch).unwrap();
    assert_eq!(snapshot.missing_bytes(), 390_000);
    let there = |name: &str| snapshot.folder().join(name).is_file();
    assert!(there("unet/config.json") && there("tokenizer/vocab.json") && !there(UNET));
    // It does not count as being there yet.
    assert_eq!(hub.cache().find(&id).unwrap(), None);
    hub.fetch_weights(&snapshot, watch).unwrap();
    assert_eq!(
        hub.cache().find(&id).unwrap().as_deref(),
        Some(snapshot.folder())
    );
    assert!(there(UNET) && snapshot.missing_bytes() == 0);
}

#[test]
fn progress_counts_the_bytes_of_all_files() {
    let desk = Desk::new();
    let mut last = (0, 0);
    let watch = &mut |at: &ip2p_hub::HubProgress<'_>| {
        if Path::new(at.file)
            .extension()
            .is_some_and(|end| end == "safetensors")
        {
            assert!(at.done_bytes >= last.0 && at.done_bytes <= at.total_bytes);
            last = (at.done_bytes, at.total_bytes);
        }
        ControlFlow::Continue(())
    };
    pull_watched(desk.options(), ID, Precision::F32, watch).unwrap();
    assert_eq!(last, (390_000, 390_000));
}
