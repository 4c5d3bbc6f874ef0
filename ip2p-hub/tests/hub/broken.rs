//! Connections that break, files that arrive damaged, disks that are full, and others at the same work.

use std::fs;
use std::ops::ControlFlow;
use std::thread;
use std::time::Duration;

use ip2p_core::{Error, Precision};

use crate::desk::{Desk, ID, UNET, model, pull, pull_watched};
use crate::loopback::{Kind, Seen, etag};

/// Part of the CDN's address of the U-Net's weights.
fn unet() -> String {
    format!("/lfs/{}", etag(UNET, &model()[UNET]))
}

fn incomplete(desk: &Desk) -> std::path::PathBuf {
    desk.path("blobs")
        .join(format!("{}.incomplete", etag(UNET, &model()[UNET])))
}

/// The requests for the U-Net's weights that reached the CDN.
fn of_unet(desk: &Desk) -> Vec<Seen> {
    let mut seen = desk.hub.seen();
    seen.retain(|seen| seen.line.contains(&unet()));
    seen
}

#[track_caller]
fn assert_whole(desk: &Desk) {
    let snapshot = desk.path("snapshots").join(&desk.commit);
    assert!(fs::read(snapshot.join(UNET)).unwrap() == model()[UNET]);
    assert!(desk.blobs().iter().all(|name| !name.contains("incomplete")));
}

#[test]
fn what_is_cut_off_is_gone_on_with() {
    let desk = Desk::new();
    desk.hub.fault(&unet(), 1, Kind::Cut(100_000));
    desk.hub.fault(&unet(), 1, Kind::Cut(50_000));
    desk.pull().unwrap();
    assert_whole(&desk);
    let seen = of_unet(&desk);
    let ranges: Vec<_> = seen.iter().map(|seen| seen.range.as_deref()).collect();
    assert_eq!(ranges, [None, Some("bytes=100000-"), Some("bytes=150000-")]);
    assert_eq!(seen.iter().map(|seen| seen.sent).sum::<usize>(), 300_000);
}

#[test]
fn a_server_that_begins_at_the_start_is_not_appended() {
    let desk = Desk::new();
    desk.hub.fault(&unet(), 1, Kind::Cut(100_000));
    desk.hub.fault(&unet(), 1, Kind::IgnoreRange);
    desk.pull().unwrap();
    assert_whole(&desk);
}

#[test]
fn what_stays_cut_off_is_kept_for_the_next_time() {
    let desk = Desk::new();
    desk.hub.fault(&unet(), 1, Kind::Cut(100_000));
    desk.hub.fault(&unet(), 99, Kind::Cut(0));
    let message = desk.pull().unwrap_err().to_string();
    let expected = format!("org/model: {UNET} was cut off after 100000 bytes: ");
    assert!(message.starts_with(&expected), "{message}");
    assert!(
        message.ends_with("check the connection; a download goes on where it ended"),
        "{message}"
    );
    assert_eq!(fs::metadata(incomplete(&desk)).unwrap().len(), 100_000);
    assert!(!desk.path("refs/main").exists());
    desk.hub.heal();
    desk.hub.seen();
    desk.pull().unwrap();
    assert_whole(&desk);
    let seen = of_unet(&desk);
    assert_eq!(
        (seen.len(), seen[0].range.as_deref()),
        (1, Some("bytes=100000-"))
    );
}

#[test]
fn a_connection_without_a_sign_of_life_is_given_up() {
    let desk = Desk::new();
    desk.hub
        .fault(&unet(), 1, Kind::Slow(Duration::from_secs(20)));
    let mut options = desk.options();
    options.timeout = Duration::from_millis(500);
    pull(options, ID, Precision::F32).unwrap();
    assert_whole(&desk);
    assert!(of_unet(&desk)[1].range.is_some());
}

#[test]
fn what_arrives_damaged_is_not_kept() {
    let desk = Desk::new();
    desk.hub.fault(&unet(), 1, Kind::Damage);
    let message = desk.pull().unwrap_err().to_string();
    let sum = etag(UNET, &model()[UNET]);
    assert!(
        message.starts_with(&format!("org/model: {UNET} arrived damaged: its sum is ")),
        "{message}"
    );
    assert!(
        message.ends_with(&format!("where the hub lists {sum}")),
        "{message}"
    );
    assert!(desk.blobs().iter().all(|name| !name.contains(&sum)));
    assert!(
        !desk
            .path("snapshots")
            .join(&desk.commit)
            .join(UNET)
            .exists()
    );
    assert!(!desk.path("refs/main").exists());
    desk.pull().unwrap();
    assert_whole(&desk);
}

#[test]
fn small_files_have_sums_too() {
    let desk = Desk::new();
    desk.hub.fault("/vae/config.json", 1, Kind::Damage);
    let message = desk.pull().unwrap_err().to_string();
    assert!(
        message.contains("vae/config.json arrived damaged"),
        "{message}"
    );
    // A page that begins otherwise, and is taken for the first half.
    desk.hub
        .fault("/vae/config.json", 1, Kind::Body("<>".into()));
    desk.pull().unwrap();
}

#[test]
fn what_is_left_of_an_earlier_time_is_checked() {
    let whole = &model()[UNET];
    let mut damaged = whole[..100_000].to_vec();
    damaged[5] ^= 1;
    let longer = [&whole[..], b"more"].concat();
    for (left, requests) in [
        (damaged, 2),
        (longer, 1),
        (whole.clone(), 0),
        (Vec::new(), 1),
    ] {
        let desk = Desk::new();
        fs::create_dir_all(desk.path("blobs")).unwrap();
        fs::write(incomplete(&desk), left).unwrap();
        desk.pull().unwrap();
        assert_whole(&desk);
        assert_eq!(of_unet(&desk).len(), requests);
    }
}

#[test]
fn a_file_that_was_cut_short_in_the_cache_is_fetched_again() {
    let desk = Desk::new();
    desk.pull().unwrap();
    let blob = desk.path("blobs").join(etag(UNET, &model()[UNET]));
    fs::File::options()
        .write(true)
        .open(&blob)
        .unwrap()
        .set_len(7)
        .unwrap();
    desk.pull().unwrap();
    assert_whole(&desk);
}

/// A file that leads to a full disk: every write to it fails as on one.
#[cfg(target_os = "linux")]
#[test]
fn on_a_full_disk_it_says_so_and_leaves_nothing_that_looks_whole() {
    let desk = Desk::new();
    fs::create_dir_all(desk.path("blobs")).unwrap();
    std::os::unix::fs::symlink("/dev/full", incomplete(&desk)).unwrap();
    let message = desk.pull().unwrap_err().to_string();
    assert!(
        message.starts_with(&format!("org/model: {UNET} cannot be written to ")),
        "{message}"
    );
    assert!(
        message.contains("No space left on device") && message.contains("make room"),
        "{message}"
    );
    assert!(
        !desk
            .path("snapshots")
            .join(&desk.commit)
            .join(UNET)
            .exists()
    );
    assert!(!desk.path("refs/main").exists());
    fs::remove_file(incomplete(&desk)).unwrap();
    desk.pull().unwrap();
    assert_whole(&desk);
}

#[test]
fn two_at_once_fetch_everything_once() {
    let desk = Desk::new();
    desk.hub
        .fault("/lfs/", 99, Kind::Slow(Duration::from_millis(10)));
    thread::scope(|scope| {
        let pulls = [0; 2].map(|_| scope.spawn(|| desk.pull().unwrap()));
        let folders = pulls.map(|pull| pull.join().unwrap().folder().to_owned());
        assert_eq!(folders[0], folders[1]);
    });
    assert_whole(&desk);
    let seen = desk.hub.seen();
    let sent = seen.iter().filter(|seen| seen.at_cdn).map(|seen| seen.sent);
    assert_eq!(sent.sum::<usize>(), 390_000);
}

#[test]
fn whoever_stops_it_goes_on_later() {
    let desk = Desk::new();
    desk.hub
        .fault(&unet(), 1, Kind::Slow(Duration::from_millis(10)));
    let watch = &mut |at: &ip2p_hub::HubProgress<'_>| {
        if at.file == UNET && at.done_bytes > 150_000 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    let stopped = pull_watched(desk.options(), ID, Precision::F32, watch);
    assert!(matches!(stopped, Err(Error::Stopped)), "{stopped:?}");
    desk.hub.seen();
    desk.pull().unwrap();
    assert_whole(&desk);
    assert!(of_unet(&desk)[0].range.is_some());
}
