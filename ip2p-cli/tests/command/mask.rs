//! `ip2p edit` of a part of the photo.

use ip2p::Photo;

use crate::desk::Desk;

fn error(desk: &Desk, arguments: &[&str]) -> String {
    let output = desk.edit(&[&["photo.png", "make it snowy", "-o", "out.png"], arguments].concat());
    assert!(!output.status.success());
    assert!(!desk.files().contains(&"out.png".to_owned()));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_box_keeps_the_rest_and_the_mask_can_be_looked_at() {
    let desk = Desk::new();
    let output = desk.edit(&[
        "photo.png",
        "make it snowy",
        "-o",
        "out.png",
        "--mask-box",
        "0,0,40,60",
        "--where",
        "top left",
        "--save-mask",
        "mask.png",
    ]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let open = |name| Photo::open(desk.path(name)).unwrap();
    let (photo, edited, mask) = (open("photo.png"), open("out.png"), open("mask.png"));
    assert_eq!(mask.size(), photo.size());
    let pixels = |photo: &Photo, from: usize, to: usize| {
        let rows = photo.rgb().pixels().chunks(80 * 3);
        rows.flat_map(|row| row[from * 3..to * 3].to_vec())
            .collect::<Vec<_>>()
    };
    assert_eq!(pixels(&edited, 40, 80), pixels(&photo, 40, 80));
    assert_ne!(pixels(&edited, 0, 40), pixels(&photo, 0, 40));

    // The picture does not hold its mask.
    let again = desk.ip2p(&["edit", "--from", "out.png", "-o", "again.png"]);
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(
        !again.status.success() && said.contains("the mask of the edit"),
        "{said}"
    );
}

#[test]
fn what_makes_no_mask_is_refused() {
    let desk = Desk::new();
    for (arguments, expected) in [
        (&["--mask-box", "80,0,5,5"] as &[&str], "within the photo"),
        (&["--mask-box", "1,2,3"], "X,Y,W,H"),
        (&["--where", "over there"], "top left"),
        (&["--mask", "none.png"], "none.png"),
        (&["--mask-invert"], "together with"),
        (&["--mask-feather", "3"], "together with"),
        (&["--mask-box", "0,0,80,60", "--mask-invert"], "all black"),
    ] {
        let error = error(&desk, arguments);
        assert!(error.contains(expected), "{arguments:?}: {error}");
    }
}
