//! The short cuts of an edit, with the tiny checkpoint.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::{editor, photo, quick};
use ip2p::region::Where;
use ip2p::{
    BranchExecution, EditOptions, EditRequest, Editor, GuidanceInterval, Photo, RgbPicture,
    SamplerKind, Size,
};

/// Six steps that draw no noise of their own.
fn options() -> EditOptions {
    quick().with_steps(6).with_sampler(SamplerKind::Ddim)
}

fn interval(text: &str) -> GuidanceInterval {
    text.parse().unwrap()
}

/// A picture, whose numbers no failure should list.
#[derive(PartialEq)]
struct Picture(Vec<u8>);

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a picture of {} bytes", self.0.len())
    }
}

fn edited(editor: &Editor, options: &EditOptions) -> Picture {
    let edited = editor
        .edit(&photo(64, 64), "make it snowy", options)
        .unwrap();
    Picture(edited.photo.rgb().pixels().to_vec())
}

#[test]
fn short_cuts_that_leave_nothing_out_give_the_same_picture() {
    let editor = editor();
    let plain = edited(&editor, &options());
    for (name, options) in [
        ("deep_cache", options().with_deep_cache(1)),
        (
            "interval",
            options().with_guidance_interval(interval("0..1")),
        ),
        ("adaptive", options().with_adaptive_guidance(1.0)),
    ] {
        assert_eq!(edited(&editor, &options), plain, "{name}");
    }
}

#[test]
fn branches_one_by_one_keep_their_own_deep_features() {
    let editor = editor();
    let options = options()
        .with_deep_cache(3)
        .with_guidance_interval(interval("0..0.5"));
    let together = edited(&editor, &options);
    let alone = edited(&editor, &options.with_branches(BranchExecution::OneByOne));
    let furthest = together
        .0
        .iter()
        .zip(&alone.0)
        .map(|(a, b)| a.abs_diff(*b))
        .max();
    assert!(furthest <= Some(1), "{furthest:?}");
}

#[test]
fn a_cache_of_more_steps_than_there_are_runs_one_whole_pass() {
    let editor = editor();
    let six = edited(&editor, &options().with_deep_cache(6));
    assert_eq!(edited(&editor, &options().with_deep_cache(100)), six);
    assert_ne!(edited(&editor, &options()), six);
    assert_ne!(edited(&editor, &options().with_deep_cache(3)), six);
}

#[test]
fn guidance_outside_its_interval_is_a_scale_of_one() {
    let editor = editor();
    let until = options().with_guidance_interval(interval("0..0.5"));
    let scales = options()
        .with_text_scale("7.5,7.5,7.5,1,1,1".parse::<ip2p::ScaleCurve>().unwrap())
        .with_image_scale("1.5,1.5,1.5,1,1,1".parse::<ip2p::ScaleCurve>().unwrap());
    assert_eq!(edited(&editor, &until), edited(&editor, &scales));
}

#[test]
fn alike_branches_end_guidance_after_the_step_that_shows_it() {
    let editor = editor();
    // Any two predictions are more alike than this, so that the first step alone is guided.
    let adaptive = options().with_adaptive_guidance(1e-9);
    let first = options().with_guidance_interval(interval("0..0.1"));
    assert_eq!(edited(&editor, &adaptive), edited(&editor, &first));
}

#[test]
fn an_image_ends_its_guidance_alone_and_in_company_alike() {
    let editor = editor();
    let grey = RgbPicture::new(Size::new(64, 64), vec![9; 64 * 64 * 3]).unwrap();
    let photos = [photo(64, 64), Photo::from(grey)];
    let requests = photos
        .each_ref()
        .map(|photo| EditRequest::new(photo, "make it snowy"));
    for threshold in [0.5, 0.9, 0.97, 0.99, 0.999] {
        let options = options().with_adaptive_guidance(threshold);
        let together = editor.edit_batch(&requests, &options).unwrap();
        for (photo, together) in photos.iter().zip(&together) {
            let options = options.clone().with_seed(together.record.seed);
            let alone = editor.edit(photo, "make it snowy", &options).unwrap();
            let pairs = alone.photo.rgb().pixels().iter();
            let pairs = pairs.zip(together.photo.rgb().pixels());
            let furthest = pairs.map(|(a, b)| a.abs_diff(*b)).max();
            assert!(furthest <= Some(1), "{threshold}: {furthest:?}");
        }
    }
}

#[test]
fn scales_are_recorded_as_they_were_asked_for() {
    let editor = editor();
    let late = options().with_guidance_interval(interval("0.5..1"));
    let record = editor
        .edit(&photo(64, 64), "make it snowy", &late)
        .unwrap()
        .record;
    assert_eq!(record.text_scale, 7.5.into());
    let mut again = EditOptions::from_record(&record).unwrap();
    again.guidance_interval = None;
    assert_eq!(edited(&editor, &again), edited(&editor, &options()));
}

#[test]
fn what_a_short_cut_cannot_do_is_refused_by_name() {
    let editor = editor();
    let attention = || "attention".parse::<Where>().unwrap();
    let half = || options().with_guidance_interval(interval("0..0.5"));
    let adaptive = || options().with_adaptive_guidance(0.9);
    for (name, options) in [
        ("guidance_interval", half().with_where(attention())),
        ("adaptive_guidance", adaptive().with_where(attention())),
        (
            "adaptive_guidance",
            adaptive().with_text_scale(1.0).with_image_scale(1.0),
        ),
    ] {
        let error = editor
            .edit(&photo(64, 64), "make it snowy", &options)
            .unwrap_err();
        assert!(error.to_string().starts_with(name), "{name}: {error}");
    }
    // Fast leaves out what would not go with what was asked for.
    for asked in [quick().with_eta(0.5), quick().with_where(attention())] {
        edited(&editor, &asked.with_fast(true));
    }
    let whole = quick().with_deep_cache(1).with_fast(true);
    let edited = editor.edit(&photo(64, 64), "make it snowy", &whole);
    assert_eq!(edited.unwrap().record.deep_cache, None);
}

#[test]
fn fast_fills_in_what_was_not_asked_for() {
    let editor = editor();
    let fast = quick().with_fast(true);
    let spelled = quick()
        .with_sampler(SamplerKind::DpmPp2m)
        .with_deep_cache(2)
        .with_guidance_interval(interval("0..0.6"));
    assert_eq!(edited(&editor, &fast), edited(&editor, &spelled));
    let own = fast.with_guidance_interval(interval("0..0.2"));
    assert_ne!(edited(&editor, &own), edited(&editor, &spelled));
}

#[test]
fn a_picture_tells_its_short_cuts_and_is_made_again_from_them() {
    let editor = editor();
    let options = options()
        .with_deep_cache(2)
        .with_guidance_interval(interval("0..0.6"))
        .with_adaptive_guidance(0.999);
    let first = editor
        .edit(&photo(64, 64), "make it snowy", &options)
        .unwrap();
    let record = &first.record;
    assert_eq!(record.deep_cache, Some(2));
    assert_eq!(record.guidance_interval, Some(interval("0..0.6")));
    let again = EditOptions::from_record(record).unwrap();
    assert!(edited(&editor, &again).0 == first.photo.rgb().pixels());
}
