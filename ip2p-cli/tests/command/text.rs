//! Sentences: embeddings, weights, chunks, and the conventions of known models.

use std::fs;

use ip2p::EditRecord;
use ip2p_testing::fixture;
use serde_json::Value;

use crate::desk::{Desk, failure, pixels, stdout, tiny};

fn file(name: &str) -> String {
    fixture(&format!("text/{name}"))
        .to_string_lossy()
        .into_owned()
}

fn record(desk: &Desk, name: &str) -> EditRecord {
    EditRecord::read(desk.path(name)).unwrap().unwrap()
}

#[test]
fn an_embedding_is_in_the_picture_and_is_repeated_from_it() {
    let desk = Desk::new();
    let sentence = ["photo.png", "make it a <cat-toy> hat", "--seed", "3"];
    stdout(&desk.edit(&[&sentence[..], &["-o", "plain.png"]].concat()));
    let (cat, other) = (file("cat.bin"), format!("{}=blurry", file("a1111.pt")));
    let with = ["-o", "with.png", "--embedding", &cat, "--embedding", &other];
    let with = [&with[..], &["--negative", "a blurry photo"]].concat();
    stdout(&desk.edit(&[&sentence[..], &with].concat()));
    assert_ne!(
        pixels(desk.path("plain.png")),
        pixels(desk.path("with.png"))
    );
    let made = record(&desk, "with.png");
    let named: Vec<_> = made
        .embeddings
        .iter()
        .map(|named| named.name.as_str())
        .collect();
    assert_eq!(named, ["<cat-toy>", "blurry"]);
    let text = made.to_parameters();
    assert!(text.contains("TI hashes: \"<cat-toy>: "), "{text}");
    assert!(text.starts_with("make it a <cat-toy> hat\nNegative prompt: a blurry photo\n"));

    stdout(&desk.edit(&["--from", "with.png", "-o", "again.png"]));
    assert_eq!(
        pixels(desk.path("again.png")),
        pixels(desk.path("with.png"))
    );
}

#[test]
fn embeddings_that_do_not_fit_are_refused_by_name() {
    let desk = Desk::new();
    let (cat, bin) = (file("cat.safetensors"), file("cat.bin"));
    let lora = fixture("lora/kohya.safetensors")
        .to_string_lossy()
        .into_owned();
    fs::write(desk.path("text.pt"), "no embedding at all").unwrap();
    for (embeddings, words, code) in [
        (vec!["nowhere.pt"], "nowhere.pt", 3),
        (vec!["text.pt"], "text.pt", 4),
        (vec!["photo.png"], "photo.png", 4),
        (vec![&*lora], "is no embedding", 4),
        (
            vec![&*file("wide.safetensors")],
            "is for Stable Diffusion 2",
            4,
        ),
        (
            vec![&*file("xl.safetensors")],
            "is for Stable Diffusion XL",
            4,
        ),
        (vec![&*cat, &*bin], "is called <cat-toy>, as", 4),
        (vec![&*format!("{cat}=")], "a file, or FILE=NAME", 2),
        (vec![&*format!("{cat}= x")], "that is no word", 4),
    ] {
        let mut arguments = vec!["photo.png", "make it snowy", "-o", "out.png"];
        for embedding in embeddings {
            arguments.extend(["--embedding", embedding]);
        }
        let (message, found) = failure(&desk.edit(&arguments));
        assert!(message.contains(words), "{message}");
        assert_eq!(found, code, "{message}");
        assert!(!desk.path("out.png").exists());
    }
    // An adaptation is told apart from an embedding the other way round too.
    let edit = [
        "photo.png",
        "make it snowy",
        "-o",
        "out.png",
        "--lora",
        &cat,
    ];
    let (message, _) = failure(&desk.edit(&edit));
    assert!(message.contains("is no low-rank adaptation"), "{message}");
}

#[test]
fn weights_and_chunks_are_asked_for_and_recorded() {
    let desk = Desk::new();
    let long = ["make it (snowy:1.3) and remove the flower"; 12].join(", ");
    let edit = |output: &str, more: &[&str]| {
        let all = [
            "photo.png",
            &*long,
            "--at-once",
            "--seed",
            "3",
            "-o",
            output,
        ];
        desk.edit(&[&all[..], more].concat())
    };
    let cut = edit("cut.png", &[]);
    let told = String::from_utf8(cut.stderr.clone()).unwrap();
    stdout(&cut);
    assert!(
        told.contains("--long-prompt chunks takes it whole"),
        "{told}"
    );
    stdout(&edit("weighted.png", &["--prompt-syntax", "a1111"]));
    stdout(&edit("chunks.png", &["--long-prompt", "chunks"]));
    let made = record(&desk, "weighted.png");
    assert_eq!(made.prompt_syntax.name(), "a1111");
    assert_eq!(made.long_prompt.name(), "chunks");
    assert_ne!(
        pixels(desk.path("cut.png")),
        pixels(desk.path("weighted.png"))
    );
    assert_ne!(
        pixels(desk.path("chunks.png")),
        pixels(desk.path("weighted.png"))
    );
    stdout(&desk.edit(&["--from", "weighted.png", "-o", "again.png"]));
    assert_eq!(
        pixels(desk.path("again.png")),
        pixels(desk.path("weighted.png"))
    );
}

#[test]
fn a_sentence_that_is_not_of_its_syntax_is_refused() {
    let desk = Desk::new();
    for (sentence, words) in [
        ("make it (snowy", "that is not closed"),
        ("make it snowy)", "no ( before it"),
        ("make it (snowy:much)", "which is no number"),
        ("make it snowy BREAK BREAK now", "an empty chunk"),
        ("make it [rain:snow:0.5]", "change on the way"),
        ("make it snowy <lora:x:1>", "--lora FILE:WEIGHT"),
    ] {
        let all = [
            "photo.png",
            sentence,
            "--prompt-syntax",
            "a1111",
            "-o",
            "out.png",
        ];
        let (message, code) = failure(&desk.edit(&all));
        assert!(message.contains(words) && code == 2, "{message}");
        // As they stand they are sentences.
        stdout(&desk.edit(&["photo.png", sentence, "--at-once", "-o", "out.png"]));
        fs::remove_file(desk.path("out.png")).unwrap();
    }
    let (message, code) = failure(&desk.edit(&["photo.png", "x", "--prompt-syntax", "compel"]));
    assert!(message.contains("plain, a1111") && code == 2, "{message}");
}

#[test]
fn a_table_says_for_each_photo_how_its_sentence_is_read() {
    let desk = Desk::new();
    fs::write(
        desk.path("jobs.csv"),
        "input,instruction,output,prompt-syntax,long_prompt\n\
         photo.png,make it (snowy:1.3),a.png,a1111,cut\n\
         photo.png,make it (snowy:1.3),b.png,,\n\
         photo.png,make it (snowy,c.png,a1111,\n",
    )
    .unwrap();
    let model = tiny();
    let model = model.to_str().unwrap();
    let quick = ["--model", model, "--steps", "2", "--size", "64"];
    let batch = ["batch", "jobs.csv", "-o", "out"];
    let (message, code) = failure(&desk.ip2p(&[&batch[..], &quick].concat()));
    assert!(
        message.contains("line 4") && message.contains("that is not closed"),
        "{message}"
    );
    assert_eq!(code, 1);
    assert_ne!(
        pixels(desk.path("out/a.png")),
        pixels(desk.path("out/b.png"))
    );
    assert_eq!(record(&desk, "out/a.png").long_prompt.name(), "cut");
}

#[test]
fn a_session_and_a_sweep_read_sentences_as_they_are_told() {
    let desk = Desk::new();
    let quick = ["photo.ip2p", "photo.png", "--steps", "2", "--size", "64"];
    let lines = "set prompt_syntax a1111\nmake it (snowy:1.3)\nsave turn.png\n";
    let cat = file("cat.safetensors");
    let with = [&quick[..], &["--embedding", &cat]].concat();
    stdout(&desk.session(&with, lines));
    assert_eq!(record(&desk, "turn.png").prompt_syntax.name(), "a1111");
    let (message, _) = failure(&desk.session(&["photo.ip2p"], "set prompt_syntax a1111\n(snow\n"));
    assert!(message.contains("that is not closed"), "{message}");

    let model = tiny();
    let sweep = [
        "sweep",
        "photo.png",
        "make it (snowy:1.3)",
        "-o",
        "sheet.png",
        "--json",
    ];
    let of = [
        "--model",
        model.to_str().unwrap(),
        "--steps",
        "1",
        "--size",
        "64",
    ];
    let one = [
        "--text-scale",
        "7",
        "--image-scale",
        "1.5",
        "--prompt-syntax",
        "a1111",
    ];
    let report = stdout(&desk.ip2p(&[&sweep[..], &of, &one].concat()));
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["cells"][0]["settings"]["prompt_syntax"], "a1111");
}

#[test]
fn known_models_are_listed_and_named() {
    let desk = Desk::new();
    let listed = stdout(&desk.ip2p(&["inspect", "--profiles"]));
    for words in [
        "instruct-pix2pix: InstructPix2Pix",
        "magicbrush: MagicBrush",
        "hive-sd2-condition:",
        "after every sentence \", image quality is five out of five\"",
        "guidance InstructDiffusion",
        "text scale 5, image scale 1.25",
        "licence CreativeML Open RAIL-M",
        "licence unknown: see the model's page",
    ] {
        assert!(listed.contains(words), "{words}: {listed}");
    }
    let json: Value =
        serde_json::from_str(&stdout(&desk.ip2p(&["inspect", "--profiles", "--json"]))).unwrap();
    assert_eq!(json[0]["conventions"]["text_scale"], 7.5);

    let edit = ["photo.png", "make it snowy", "--seed", "3", "-o", "out.png"];
    stdout(&desk.edit(&[&edit[..], &["--profile", "instruct-diffusion"]].concat()));
    let made = record(&desk, "out.png");
    assert_eq!(made.profile.as_deref(), Some("instruct-diffusion"));
    assert_eq!(made.text_scale, 5.0.into());
    stdout(&desk.edit(&["--from", "out.png", "-o", "again.png"]));
    assert_eq!(pixels(desk.path("again.png")), pixels(desk.path("out.png")));

    let (message, code) = failure(&desk.edit(&[&edit[..], &["--profile", "magic"]].concat()));
    assert!(message.contains("magicbrush") && code == 2, "{message}");
    let (message, code) = failure(&desk.ip2p(&["inspect"]));
    assert!(message.contains("MODEL|IMAGE") && code == 2, "{message}");
}

#[test]
fn another_autoencoder_and_the_folder_of_the_configs_are_recorded_and_taken_again() {
    let desk = Desk::new();
    let checkpoint = fixture("single/tiny.ckpt");
    let vae = tiny().join("vae/diffusion_pytorch_model.safetensors");
    let (model, config) = (checkpoint.to_str().unwrap(), tiny());
    let quick = ["--steps", "2", "--size", "64", "--seed", "3"];
    let edit = ["edit", "photo.png", "make it snowy", "-o", "out.png"];
    let of = ["--model", model, "--config", config.to_str().unwrap()];
    let with = ["--vae", vae.to_str().unwrap()];
    stdout(&desk.ip2p(&[&edit[..], &of, &with, &quick].concat()));
    let made = record(&desk, "out.png");
    assert_eq!(made.vae_path.as_deref(), vae.to_str());
    assert_eq!(made.config_path.as_deref(), config.to_str());
    let text = made.to_parameters();
    assert!(
        text.contains("VAE: diffusion_pytorch_model.safetensors"),
        "{text}"
    );
    // Without both it could not be made again: the file has no configs of its own.
    stdout(&desk.ip2p(&["edit", "--from", "out.png", "-o", "again.png"]));
    assert_eq!(pixels(desk.path("again.png")), pixels(desk.path("out.png")));
    assert_eq!(record(&desk, "again.png").vae_path, made.vae_path);
}
