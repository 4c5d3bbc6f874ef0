//! Pictures against Pillow, the original repository and diffusers: `tests/golden/gen_images.py`.

use ip2p_core::{FitPolicy, Rect, Size, SizeStep, TargetSize};
use ip2p_io::{
    EditRecord, Photo, RgbPicture, Rounding, fit, from_tensor, resize_lanczos, to_tensor,
};
use ip2p_testing::{Golden, device};

/// A picture of a fixture: bytes `[height, width, 3]`.
fn picture(golden: &Golden, name: &str) -> RgbPicture {
    let shape = golden.shape(name);
    let side = |axis: usize| u32::try_from(shape[axis]).expect("a small side");
    RgbPicture::new(Size::new(side(1), side(0)), golden.bytes(name)).expect("a picture")
}

/// The names of a fixture's tensors that end so, without the ending.
fn stems(golden: &Golden, ending: &str) -> Vec<String> {
    let names = golden.names();
    let stems: Vec<_> = names
        .iter()
        .filter_map(|name| name.strip_suffix(ending).map(str::to_owned))
        .collect();
    assert!(!stems.is_empty(), "none of {names:?} ends in {ending}");
    stems
}

#[track_caller]
fn assert_same(name: &str, got: &RgbPicture, expected: &RgbPicture) {
    assert_eq!(got.size(), expected.size(), "{name}");
    let pairs = got.pixels().iter().zip(expected.pixels());
    let differing = pairs.clone().filter(|(got, expected)| got != expected);
    let worst = pairs.map(|(got, expected)| got.abs_diff(*expected)).max();
    assert_eq!(
        differing.count(),
        0,
        "{name}: values differ, by up to {worst:?}"
    );
}

#[test]
fn original_sizes_are_those_of_the_original_repository() {
    let golden = Golden::open("images/sizes");
    let rows = golden.ints("width_height_resolution_original");
    for row in rows.chunks(5) {
        let [width, height, resolution, to_width, to_height] =
            [0, 1, 2, 3, 4].map(|at| u32::try_from(row[at]).unwrap());
        let photo = Size::new(width, height);
        let plan =
            FitPolicy::Original.plan(photo, TargetSize::Side(resolution), SizeStep::default());
        let expected = Some(Size::new(to_width, to_height)).filter(|size| !size.is_empty());
        assert_eq!(
            plan.ok().map(|plan| plan.model),
            expected,
            "{photo} at {resolution}"
        );
    }
}

#[test]
fn resampling_is_that_of_pillow() {
    let golden = Golden::open("images/resize");
    for case in stems(&golden, ".source") {
        let source = picture(&golden, &format!("{case}.source"));
        let expected = picture(&golden, &format!("{case}.resized"));
        let edges = golden.doubles(&format!("{case}.box"));
        let [left, top, right, bottom] = edges.try_into().unwrap();
        let edges = Rect {
            left,
            top,
            right,
            bottom,
        };
        let resized = resize_lanczos(&source, edges, expected.size());
        assert_same(&format!("case {case}"), &resized, &expected);
    }
}

#[test]
fn photos_are_fitted_as_the_reference_tools_do() {
    let golden = Golden::open("images/fit");
    for case in stems(&golden, ".source") {
        let photo = Photo::from(picture(&golden, &format!("{case}.source")));
        let resolution = golden.ints(&format!("{case}.resolution"))[0];
        let target = TargetSize::Side(resolution.try_into().unwrap());
        for policy in [FitPolicy::Original, FitPolicy::Diffusers] {
            let plan = policy
                .plan(photo.size(), target, SizeStep::default())
                .unwrap();
            let name = format!("{case}.{policy}");
            assert_same(
                &name,
                &fit(&photo, &plan).unwrap(),
                &picture(&golden, &name),
            );
        }
    }
}

#[test]
fn bytes_become_the_same_numbers() {
    let mut golden = Golden::open("images/tensors");
    let ramp = to_tensor(&picture(&golden, "ramp"), &device());
    golden.check("ramp.diffusers", ramp.clone());
    golden.check("ramp.original", ramp);
    golden.finish();
}

#[test]
fn numbers_become_the_same_bytes() {
    let golden = Golden::open("images/tensors");
    for (rounding, name) in [
        (Rounding::Nearest, "numbers.nearest"),
        (Rounding::Truncate, "numbers.truncated"),
    ] {
        let numbers = golden.tensor("numbers", &device());
        let got = from_tensor(numbers, rounding).unwrap();
        assert_same(name, &got, &picture(&golden, name));
    }
}

#[test]
fn lossless_files_are_read_as_pillow_reads_them() {
    let golden = Golden::open("images/decode_lossless");
    for name in stems(&golden, ".file") {
        let photo = Photo::decode(&golden.bytes(&format!("{name}.file")), &name)
            .unwrap_or_else(|error| panic!("{error}"));
        assert_same(
            &name,
            photo.rgb(),
            &picture(&golden, &format!("{name}.rgb")),
        );
        let alpha = format!("{name}.alpha");
        let alpha = golden
            .names()
            .contains(&alpha)
            .then(|| golden.bytes(&alpha));
        // One that is opaque everywhere is none.
        let alpha = alpha.filter(|alpha| alpha.iter().any(|&value| value != 255));
        assert_eq!(photo.alpha(), alpha.as_deref(), "{name}");
    }
}

#[test]
fn lossy_files_are_read_as_pillow_reads_them() {
    let mut golden = Golden::open("images/decode_lossy");
    for name in stems(&golden, ".file") {
        let photo = Photo::decode(&golden.bytes(&format!("{name}.file")), &name)
            .unwrap_or_else(|error| panic!("{error}"));
        let rgb = format!("{name}.rgb");
        let shape = golden.shape(&rgb);
        let Size { width, height } = photo.size();
        assert_eq!(shape, [height as usize, width as usize, 3], "{name}");
        let levels: Vec<f32> = photo
            .rgb()
            .pixels()
            .iter()
            .map(|&byte| f32::from(byte) / 255.0)
            .collect();
        golden.check_floats(&rgb, &levels);
    }
    golden.finish();
}

#[test]
fn a_file_that_is_cut_off_or_damaged_is_an_error_and_never_a_panic() {
    for fixture in ["images/decode_lossless", "images/decode_lossy"] {
        let golden = Golden::open(fixture);
        for name in stems(&golden, ".file") {
            let file = golden.bytes(&format!("{name}.file"));
            for length in 0..file.len() {
                let _ = EditRecord::decode(&file[..length], &name);
                let _ = Photo::decode(&file[..length], &name);
            }
            let half = Photo::decode(&file[..file.len() / 2], &name);
            // The first frame is whole by then.
            assert_eq!(half.is_ok(), name == "frames.gif", "half of {name}");
            for at in 0..file.len() {
                let mut damaged = file.clone();
                damaged[at] ^= 0x55;
                let _ = EditRecord::decode(&damaged, &name);
                let _ = Photo::decode(&damaged, &name);
            }
        }
    }
}

#[test]
fn parameters_of_automatic1111_are_read_from_every_format() {
    let golden = Golden::open("images/parameters");
    for name in golden.names() {
        let record = EditRecord::decode(&golden.bytes(&name), &name)
            .unwrap()
            .unwrap_or_else(|| panic!("{name}: no record"));
        let instruction = if name.starts_with("latin") {
            "make it snowy, Schnee"
        } else {
            "make it snowy, „Schnee“ ❄"
        };
        assert_eq!(record.instruction, instruction, "{name}");
        assert_eq!(record.negative.as_deref(), Some("people"), "{name}");
        assert_eq!((record.steps, record.seed), (30, 1371), "{name}");
        assert_eq!(record.image_scale, 1.25.into(), "{name}");
        assert_eq!(
            record.model.as_deref(),
            Some("instruct-pix2pix, 00-22000"),
            "{name}"
        );
        assert_eq!(record.model_size, Some(Size::new(512, 384)), "{name}");
    }
}
