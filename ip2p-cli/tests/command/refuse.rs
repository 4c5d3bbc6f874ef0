//! What is refused: by name, with its exit code, and with nothing left behind.

use std::fs;
use std::path::Path;

use crate::desk::{Desk, damaged, failure, replace};

/// Something that goes wrong with a checkpoint's folder.
type Damage<'a> = &'a dyn Fn(&Path);

#[test]
fn settings_that_make_no_sense_are_refused_before_weights_are_read() {
    let desk = Desk::new();
    let without_weights = damaged(&desk, |folder| {
        fs::remove_file(folder.join("unet/diffusion_pytorch_model.safetensors")).unwrap();
    });
    let model = without_weights.to_str().unwrap();
    let cases: &[(&[&str], &str)] = &[
        (&["--steps", "0"], "steps must be between 1 and 1000, got 0"),
        (
            &["--text-scale", "NaN"],
            "text_scale must be a finite number",
        ),
        (
            &["--image-scale", "inf"],
            "image_scale must be a finite number",
        ),
        (&["--sampler", "euler_a"], "euler-a, euler, heun"),
        (&["--schedule", "kerras"], "normal, karras"),
        (&["--size", "100"], "size must be a multiple of 16"),
        (&["--count", "0"], "count must be"),
        (&["--device", "abacus"], "abacus"),
        (&["--precision", "f8"], "f32, f16, bf16, int8"),
        (&["-o", "nowhere/out.png"], "nowhere"),
        (&["-o", "out.xyz"], "out.xyz"),
        (&["-o", "out.gif"], "out.gif"),
    ];
    for (arguments, expected) in cases {
        let all = [
            &["edit", "photo.png", "make it snowy", "--model", model],
            *arguments,
        ]
        .concat();
        let (message, code) = failure(&desk.ip2p(&all));
        assert!(message.contains(expected), "{arguments:?}: {message}");
        assert!((2..=5).contains(&code), "{arguments:?}: {code}");
    }
    let (message, code) = failure(&desk.edit(&["photo.png", ""]));
    assert!(
        message.contains("instruction must be a sentence") && code == 2,
        "{message}"
    );
    assert_eq!(desk.files(), ["model", "photo.png"]);
}

#[test]
fn photos_that_are_none_are_refused_by_name() {
    let desk = Desk::new();
    let real = fs::read(desk.path("photo.png")).unwrap();
    fs::write(desk.path("text.png"), "this is no picture").unwrap();
    fs::write(desk.path("short.png"), &real[..real.len() / 2]).unwrap();
    fs::write(desk.path("empty.png"), "").unwrap();
    let mut huge = real.clone();
    // The header's width and height; its checksum no longer fits either.
    huge[16..24].copy_from_slice(&[0, 0, 0x75, 0x30, 0, 0, 0x75, 0x30]);
    fs::write(desk.path("huge.png"), &huge).unwrap();
    for name in [
        "text.png",
        "short.png",
        "empty.png",
        "huge.png",
        "missing.png",
        ".",
    ] {
        let (message, code) = failure(&desk.edit(&[name, "make it snowy", "-o", "out.png"]));
        assert!(message.contains(name) && code == 3, "{name}: {message}");
    }
    assert!(!desk.path("out.png").exists());
}

#[test]
fn an_earlier_picture_survives_an_edit_that_fails() {
    let desk = Desk::new();
    fs::write(desk.path("out.png"), "earlier").unwrap();
    failure(&desk.edit(&[
        "photo.png",
        "make it snowy",
        "-o",
        "out.png",
        "--text-scale",
        "1e300",
    ]));
    assert_eq!(fs::read_to_string(desk.path("out.png")).unwrap(), "earlier");
    assert_eq!(desk.files(), ["out.png", "photo.png"]);
}

#[test]
fn checkpoints_that_do_not_fit_are_refused_by_file_and_field() {
    let weights = |folder: &Path| folder.join("unet/diffusion_pytorch_model.safetensors");
    let cases: &[(&str, Damage<'_>)] = &[
        ("unet", &|folder| fs::remove_file(weights(folder)).unwrap()),
        ("diffusion_pytorch_model.safetensors", &|folder| {
            let bytes = fs::read(weights(folder)).unwrap();
            fs::write(weights(folder), &bytes[..bytes.len() / 2]).unwrap();
        }),
        ("in_channels is 4", &|folder| {
            replace(
                folder.join("unet/config.json"),
                "\"in_channels\": 8",
                "\"in_channels\": 4",
            );
        }),
        ("missing", &|folder| {
            replace(
                folder.join("text_encoder/config.json"),
                "\"num_hidden_layers\": 2",
                "\"num_hidden_layers\": 3",
            );
        }),
        ("unused", &|folder| {
            replace(
                folder.join("text_encoder/config.json"),
                "\"num_hidden_layers\": 2",
                "\"num_hidden_layers\": 1",
            );
        }),
        ("shape", &|folder| {
            replace(
                folder.join("text_encoder/config.json"),
                "\"intermediate_size\": 64",
                "\"intermediate_size\": 65",
            );
        }),
        ("act_fn", &|folder| {
            replace(folder.join("unet/config.json"), "\"silu\"", "\"mish\"");
        }),
        ("beta_schedule", &|folder| {
            replace(
                folder.join("scheduler/scheduler_config.json"),
                "scaled_linear",
                "cubic",
            );
        }),
        ("merges.txt", &|folder| {
            fs::remove_file(folder.join("tokenizer/merges.txt")).unwrap();
        }),
    ];
    for (expected, damage) in cases {
        let desk = Desk::new();
        let model = damaged(&desk, damage);
        let model = model.to_str().unwrap();
        let output = desk.ip2p(&[
            "edit",
            "photo.png",
            "make it snowy",
            "-o",
            "out.png",
            "--model",
            model,
        ]);
        let (message, code) = failure(&output);
        assert!(message.contains(expected), "{expected}: {message}");
        assert_eq!(code, 4, "{message}");
        assert!(!desk.path("out.png").exists());
    }
}

/// What an edit says when the numbers of a convolution in the U-Net's middle are all this one: the message and the exit code.
fn edit_with_weight(number: f32) -> (String, i32) {
    let desk = Desk::new();
    let model = damaged(&desk, |folder| {
        let path = folder.join("unet/diffusion_pytorch_model.safetensors");
        let mut bytes = fs::read(&path).unwrap();
        let (header, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        let weights = &metadata.tensors()["mid_block.resnets.0.conv1.weight"];
        let (start, end) = weights.data_offsets;
        for weight in bytes[8 + header..][start..end].chunks_exact_mut(4) {
            weight.copy_from_slice(&number.to_le_bytes());
        }
        fs::write(path, bytes).unwrap();
    });
    let model = model.to_str().unwrap();
    let output = desk.ip2p(&[
        "edit",
        "photo.png",
        "make it snowy",
        "-o",
        "out.png",
        "--model",
        model,
        "--size",
        "64",
    ]);
    assert!(!desk.path("out.png").exists());
    failure(&output)
}

#[test]
fn numbers_that_run_away_name_the_step_and_the_layer() {
    let (message, code) = edit_with_weight(f32::MAX);
    assert!(
        message.contains("mid_block") && message.contains("step 1") && code == 5,
        "{message}"
    );
}

#[test]
fn a_weight_that_is_no_finite_number_names_the_tensor() {
    for (number, what) in [(f32::NAN, "NaN"), (f32::INFINITY, "an infinity")] {
        let (message, code) = edit_with_weight(number);
        let expected = format!("tensor mid_block.resnets.0.conv1.weight holds {what}: ");
        assert!(message.contains(&expected) && code == 4, "{message}");
    }
}
