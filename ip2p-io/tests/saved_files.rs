//! What is written comes back: pixels, transparency, colour profile, and how the picture was made.

use std::fs;
use std::path::{Path, PathBuf};

use ip2p_core::{Error, Size};
use ip2p_io::{EditRecord, Photo, PictureFormat, RgbPicture, SaveOptions};

/// The endings that can be written, and whether the format is lossless, transparent, keeps a profile and a record.
const CASES: [(&str, [bool; 4]); 5] = [
    ("png", [true, true, true, true]),
    ("webp", [true, true, true, true]),
    ("tiff", [true, true, true, true]),
    ("jpg", [false, false, true, true]),
    ("bmp", [true, false, false, false]),
];

const SIZE: Size = Size::new(24, 16);

fn rgb() -> RgbPicture {
    let pixels = (0..16_u8).flat_map(|y| (0..24_u8).flat_map(move |x| [x * 10, y * 15, 128]));
    RgbPicture::new(SIZE, pixels.collect()).expect("three bytes a pixel")
}

/// The smallest that says that it is one of red, green and blue.
fn icc_profile() -> Vec<u8> {
    let mut profile = vec![0; 128];
    profile[..4].copy_from_slice(&128_u32.to_be_bytes());
    profile[16..20].copy_from_slice(b"RGB ");
    profile
}

/// A photo with everything, by way of a PNG that we put together by hand.
fn photo() -> Photo {
    let mut info = png::Info::with_size(SIZE.width, SIZE.height);
    info.color_type = png::ColorType::Rgba;
    info.bit_depth = png::BitDepth::Eight;
    info.icc_profile = Some(icc_profile().into());
    let rgba: Vec<u8> = rgb()
        .pixels()
        .chunks(3)
        .zip((0..=u8::MAX).cycle())
        .flat_map(|(pixel, at)| [pixel[0], pixel[1], pixel[2], at])
        .collect();
    let mut file = Vec::new();
    let encode = || {
        let mut writer = png::Encoder::with_info(&mut file, info)?.write_header()?;
        writer.write_image_data(&rgba)?;
        writer.finish()
    };
    encode().expect("a small picture");
    Photo::decode(&file, "by hand").expect("just encoded")
}

fn record() -> EditRecord {
    EditRecord {
        instruction: "make it \"snowy\", <so> & so:\nmit Schnee ❄ \u{1F3D4}".into(),
        negative: Some("people, 'cars'".into()),
        model: Some("a, b: \"c\"".into()),
        text_scale: vec![7.5, 3.25].into(),
        seed: u64::MAX,
        model_size: Some(Size::new(512, 320)),
        ..EditRecord::default()
    }
}

fn path(folder: &Path, ending: &str) -> PathBuf {
    folder.join(format!("out.{ending}"))
}

#[test]
fn a_photo_and_its_record_come_back_from_every_format() {
    let folder = tempfile::tempdir().unwrap();
    for (ending, [lossless, transparent, profiled, recorded]) in CASES {
        let path = path(folder.path(), ending);
        let warnings = photo().save(&path, Some(&record())).unwrap();
        let lost = usize::from(!transparent) + usize::from(!recorded);
        assert_eq!(warnings.len(), lost, "{ending}: {warnings:?}");

        let back = Photo::open(&path).unwrap();
        let format = PictureFormat::of_output(&path).unwrap();
        assert_eq!((back.size(), back.format()), (SIZE, Some(format)));
        if lossless && transparent {
            assert_eq!(back.rgb(), photo().rgb(), "{ending}");
        }
        let alpha = photo();
        assert_eq!(
            back.alpha(),
            alpha.alpha().filter(|_| transparent),
            "{ending}"
        );
        let profile = profiled.then(icc_profile);
        assert_eq!(back.icc_profile(), profile.as_deref(), "{ending}");
        let expected = recorded.then(record);
        assert_eq!(EditRecord::read(&path).unwrap(), expected, "{ending}");
    }
}

#[test]
fn a_plain_photo_is_kept_without_warnings() {
    let folder = tempfile::tempdir().unwrap();
    for (ending, [lossless, ..]) in CASES {
        let path = path(folder.path(), ending);
        let plain = Photo::from(rgb());
        assert_eq!(plain.save(&path, None).unwrap(), Vec::<String>::new());
        let back = Photo::open(&path).unwrap();
        let pairs = back.rgb().pixels().iter().zip(plain.rgb().pixels());
        let worst = pairs.map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(worst <= if lossless { 0 } else { 8 }, "{ending}: {worst}");
        assert_eq!(EditRecord::read(&path).unwrap(), None, "{ending}");
    }
}

#[test]
fn a_jpeg_of_less_quality_is_smaller() {
    let folder = tempfile::tempdir().unwrap();
    let length = |quality| {
        let path = path(folder.path(), "jpg");
        let options = SaveOptions::default().with_quality(quality);
        Photo::from(rgb()).save_with(&path, None, options).unwrap();
        fs::metadata(path).unwrap().len()
    };
    assert!(length(10) < length(95));
}

#[test]
fn a_record_too_long_for_a_jpeg_is_left_out_with_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let long = EditRecord {
        instruction: "snow ".repeat(20_000),
        ..record()
    };
    let jpeg = path(folder.path(), "jpg");
    let warnings = Photo::from(rgb()).save(&jpeg, Some(&long)).unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_eq!(EditRecord::read(&jpeg).unwrap(), None);
    let png = path(folder.path(), "png");
    assert!(
        Photo::from(rgb())
            .save(&png, Some(&long))
            .unwrap()
            .is_empty()
    );
    assert_eq!(EditRecord::read(&png).unwrap(), Some(long));
}

#[test]
fn a_damaged_record_is_an_error_that_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = path(folder.path(), "webp");
    Photo::from(rgb()).save(&path, Some(&record())).unwrap();
    let mut file = fs::read(&path).unwrap();
    let at = file
        .windows(8)
        .position(|bytes| bytes == b"\"steps\":")
        .unwrap();
    file[at + 8] = b'x';
    fs::write(&path, file).unwrap();
    let error = EditRecord::read(&path).unwrap_err();
    assert!(matches!(error, Error::Image { .. }), "{error:?}");
    assert!(error.to_string().contains("out.webp"), "{error}");
}

#[test]
fn what_cannot_be_read_names_the_file_and_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("photo.png");
    fs::write(&text, "not a picture").unwrap();
    for error in [
        Photo::open(&text).unwrap_err(),
        EditRecord::read(&text).unwrap_err(),
    ] {
        assert!(
            error.to_string().contains("photo.png: not a picture"),
            "{error}"
        );
    }
    let missing = folder.path().join("missing.png");
    for error in [
        Photo::open(&missing).unwrap_err(),
        EditRecord::read(&missing).unwrap_err(),
    ] {
        assert!(matches!(error, Error::Io { .. }), "{error:?}");
    }
    assert!(Photo::open(folder.path()).is_err());
}
