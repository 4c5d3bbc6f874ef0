//! Without the network, and what is in the cache.

use std::fs;

use ip2p_core::Precision;
use ip2p_hub::{Cache, ModelId};

use crate::desk::{Desk, ID, UNET, model, names, pull};
use crate::loopback::{Kind, etag};

fn id(text: &str) -> ModelId {
    text.parse().unwrap()
}

#[test]
fn without_the_network_the_cache_is_used_and_no_request_made() {
    let desk = Desk::new();
    let mut options = desk.options();
    options.offline = true;
    let message = pull(options.clone(), ID, Precision::F32)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("is not in the cache") && message.contains("HF_HUB_OFFLINE"),
        "{message}"
    );
    let online = desk.pull().unwrap();
    desk.hub.seen();
    let name = online.name();
    for id in [ID, "org/model@main", &name] {
        for precision in Precision::ALL {
            let snapshot = pull(options.clone(), id, precision).unwrap();
            assert_eq!(snapshot.folder(), online.folder());
        }
    }
    fs::remove_file(desk.path("blobs").join(etag(UNET, &model()[UNET]))).unwrap();
    let message = pull(options.clone(), ID, Precision::F32)
        .unwrap_err()
        .to_string();
    assert!(message.contains("is not whole in the cache"), "{message}");
    let message = pull(options, "org/model@v2", Precision::F32)
        .unwrap_err()
        .to_string();
    assert!(message.contains("is not in the cache"), "{message}");
    assert_eq!(desk.asked(), Vec::<String>::new());
}

#[test]
fn what_another_precision_needs_serves_where_there_is_no_network() {
    let desk = Desk::new();
    pull(desk.options(), ID, Precision::F16).unwrap();
    let mut options = desk.options();
    options.offline = true;
    assert_eq!(
        pull(options, ID, Precision::F32).unwrap().commit(),
        desk.commit
    );
}

#[test]
fn a_hub_that_does_not_answer_is_done_without() {
    let desk = Desk::new();
    desk.pull().unwrap();
    desk.hub.seen();
    for (status, words) in [
        (503, "127.0.0.1 fails (status 503)"),
        (404, "127.0.0.1 has no such model (404)"),
        (429, "127.0.0.1 has had too many requests (429)"),
    ] {
        desk.hub.fault("/", 99, Kind::Status(status, vec![]));
        let snapshot = desk.pull().unwrap();
        assert_eq!(snapshot.note(), Some(words));
        assert_eq!(desk.asked().len(), 1, "{status}");
        desk.hub.heal();
    }
    let mut options = desk.options();
    options.endpoint = "http://127.0.0.1:1".into();
    let snapshot = pull(options, ID, Precision::F32).unwrap();
    assert!(
        snapshot
            .note()
            .unwrap()
            .starts_with("127.0.0.1 does not answer: ")
    );
}

#[test]
fn the_cache_says_what_it_holds() {
    let desk = Desk::new();
    let cache = Cache::new(desk.cache());
    assert_eq!(cache.models().unwrap(), []);
    desk.pull().unwrap();
    let mut files = model();
    files.insert("unet/config.json".into(), "{}".into());
    let newer = desk.hub.commit(ID, &files);
    desk.pull().unwrap();
    fs::write(desk.path("blobs/x.incomplete"), [0; 10]).unwrap();
    fs::create_dir_all(desk.cache().join("datasets--a--b")).unwrap();
    fs::write(desk.cache().join("version.txt"), "1").unwrap();
    let models = cache.models().unwrap();
    let [found] = models.as_slice() else {
        panic!("{models:?}")
    };
    assert_eq!(found.id, ID);
    let commits: Vec<_> = found
        .revisions
        .iter()
        .map(|revision| &*revision.commit)
        .collect();
    assert_eq!(commits, [&newer, &desk.commit]);
    assert_eq!(found.revisions[0].refs, ["main"]);
    assert!(found.revisions[1].refs.is_empty());
    let sizes: Vec<_> = found
        .revisions
        .iter()
        .map(|revision| revision.bytes)
        .collect();
    assert!(sizes[0] > 390_000 && sizes[1] > sizes[0], "{sizes:?}");
    // What both use counts once; a reference's file has forty bytes.
    assert!(found.bytes < sizes[1] + 200, "{} {sizes:?}", found.bytes);
    assert_eq!(found.incomplete_bytes, 10);
    assert_eq!(
        cache.find(&id(ID)).unwrap(),
        Some(found.revisions[0].folder.clone())
    );
}

#[test]
fn a_model_is_removed_with_what_only_it_used() {
    let desk = Desk::new();
    desk.pull().unwrap();
    desk.hub.commit("org/other", &model());
    pull(desk.options(), "org/other", Precision::F32).unwrap();
    let cache = Cache::new(desk.cache());
    let held = cache.models().unwrap()[0].bytes;
    let removed = cache.remove(&id(ID)).unwrap();
    assert_eq!(
        (removed.bytes, removed.commits.as_slice()),
        (held, &[desk.commit.clone()][..])
    );
    assert_eq!(names(&desk.cache()), [".locks", "models--org--other"]);
    assert_eq!(names(&desk.cache().join(".locks")), ["models--org--other"]);
    let message = cache.remove(&id(ID)).unwrap_err().to_string();
    assert!(
        message.starts_with("org/model: is not in the cache "),
        "{message}"
    );
}

#[test]
fn one_revision_is_removed_and_the_others_stay_whole() {
    let desk = Desk::new();
    desk.pull().unwrap();
    let mut files = model();
    let config = "unet/config.json";
    files.insert(config.into(), "{}".into());
    let newer = desk.hub.commit(ID, &files);
    let new = desk.pull().unwrap();
    let cache = Cache::new(desk.cache());
    let removed = cache.remove(&id(&format!("{ID}@{}", desk.commit))).unwrap();
    assert_eq!(removed.bytes, model()[config].len() as u64);
    assert_eq!(names(&desk.path("snapshots")), std::slice::from_ref(&newer));
    assert_eq!(fs::read(new.folder().join(UNET)).unwrap(), model()[UNET]);
    let gone = desk.path("blobs").join(etag(config, &model()[config]));
    assert!(!gone.exists());
    let message = cache.remove(&id("org/model@v9")).unwrap_err().to_string();
    assert!(
        message.contains(&format!("which has these commits: {newer}")),
        "{message}"
    );
    // The last one takes all with it.
    cache.remove(&id("org/model@main")).unwrap();
    assert_eq!(names(&desk.cache()), [".locks"]);
}

#[test]
fn what_is_being_fetched_is_not_removed() {
    let desk = Desk::new();
    desk.pull().unwrap();
    let lock = desk.cache().join(".locks/models--org--model");
    let lock = lock.join(format!("{}.lock", etag(UNET, &model()[UNET])));
    let held = fs::File::options().write(true).open(lock).unwrap();
    held.lock().unwrap();
    let cache = Cache::new(desk.cache());
    let message = cache.remove(&id(ID)).unwrap_err().to_string();
    assert!(
        message.contains("is being fetched by another program"),
        "{message}"
    );
    drop(held);
    cache.remove(&id(ID)).unwrap();
}
