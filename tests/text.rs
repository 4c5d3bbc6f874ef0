//! Sentences with weights and in chunks, and embeddings: against the published rules and diffusers, `tests/golden/gen_text.py`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use burn::tensor::{Int, Tensor, TensorData};
use ip2p::models::clip::{CLIPTextConfig, weigh};
use ip2p::{
    Checkpoint, Compat, Component, EditOptions, EditRequest, Edited, Editor, Error, LongPrompt,
    Lora, Model, Photo, Precision, PromptSyntax, RgbPicture, Size,
};
use ip2p_testing::{Golden, device, fixture};

fn model() -> Model {
    Model::open(fixture("tiny-ip2p")).unwrap()
}

fn load(model: Model) -> Editor {
    model.load(&device(), Precision::F32, &mut |_| ()).unwrap()
}

fn embedding(name: &str) -> std::path::PathBuf {
    fixture(&format!("text/{name}"))
}

fn photo() -> Photo {
    let pixel = |i: u32| u8::try_from(i * 7 % 256).unwrap();
    let rgb = (0..64 * 64 * 3).map(pixel).collect();
    RgbPicture::new(Size::new(64, 64), rgb).unwrap().into()
}

fn options() -> EditOptions {
    EditOptions::default()
        .with_steps(2)
        .with_size(Size::new(64, 64).into())
}

fn edit(editor: &Editor, instruction: &str, options: &EditOptions) -> Edited {
    editor.edit(&photo(), instruction, options).unwrap()
}

fn pixels(edited: &Edited) -> &[u8] {
    edited.photo.rgb().pixels()
}

#[test]
fn weighed_states_are_those_of_the_published_rule() {
    let mut golden = Golden::open("text/weights");
    let checkpoint = Checkpoint::open(fixture("tiny-ip2p")).unwrap();
    let component = Component::TextEncoder;
    let config = CLIPTextConfig::from_json(checkpoint.config(component)).unwrap();
    let (encoder, _) = checkpoint
        .load(
            config.init(&device()),
            component,
            Precision::F32,
            &mut |_| (),
        )
        .unwrap();
    let sentences: Vec<String> = serde_json::from_str(golden.text("sentences")).unwrap();
    for index in 0..sentences.len() {
        let name = format!("ids.{index}");
        let (ids, shape) = (golden.ints(&name), golden.shape(&name));
        let tokens = ids.len();
        let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, shape), &device());
        let weights = golden.floats(&format!("weights.{index}"));
        let states = weigh(encoder.forward(ids), &weights);
        golden.check(&format!("context.{index}"), states.reshape([1, tokens, 32]));
    }
    golden.finish();
}

#[test]
fn an_edit_whose_sentences_name_embeddings_is_that_of_diffusers() {
    let mut golden = Golden::open("text/edit");
    let model = model()
        .with_embedding(embedding("cat.safetensors"))
        .unwrap()
        .with_embedding(embedding("one.safetensors"))
        .unwrap();
    let editor = load(model);
    let size = |axis: usize| u32::try_from(golden.shape("photo")[axis]).unwrap();
    let size = Size::new(size(1), size(0));
    let photo = Photo::from(RgbPicture::new(size, golden.bytes("photo")).unwrap());
    let options = EditOptions::default()
        .with_compat(Compat::Diffusers)
        .with_negative(golden.text("negative"))
        .with_steps(golden.text("steps").parse().unwrap())
        .with_seed(golden.text("seed").parse().unwrap());
    let instruction = golden.text("instruction").to_owned();
    let request = EditRequest::new(&photo, &instruction);
    let mut steps = editor.steps(&request, &options).unwrap();
    let last = steps.by_ref().map(Result::unwrap).last().unwrap();
    golden.check("latents", last.latents);
    let edited = steps.finish().unwrap().swap_remove(0);
    let expected = golden.bytes("output.0");
    let furthest = (expected.iter().zip(pixels(&edited)))
        .map(|(a, b)| a.abs_diff(*b))
        .max();
    assert!(furthest <= Some(3), "furthest {furthest:?}");
    golden.finish();
    assert_eq!(edited.warnings, [""; 0]);
    let named: Vec<_> = (edited.record.embeddings.iter())
        .map(|named| named.name.as_str())
        .collect();
    assert_eq!(named, ["<cat-toy>", "<one>"]);
}

#[test]
fn an_edit_with_xl_of_two_chunks_weights_and_an_embedding_is_that_of_diffusers() {
    let mut golden = Golden::open("text/edit-xl");
    let model = Model::open(fixture("tiny-sdxl"))
        .unwrap()
        .with_embedding(embedding("tiny-xl.safetensors"))
        .unwrap();
    let mut editor = load(model);
    // Taking out what is not there leaves both text encoders as they are.
    editor.set_loras([]).unwrap();
    let size = |axis: usize| u32::try_from(golden.shape("photo")[axis]).unwrap();
    let size = Size::new(size(1), size(0));
    let photo = Photo::from(RgbPicture::new(size, golden.bytes("photo")).unwrap());
    let options = EditOptions::default()
        .with_compat(Compat::Diffusers)
        .with_prompt_syntax(PromptSyntax::A1111)
        .with_text_scale(5.0)
        .with_image_scale(1.5)
        .with_steps(golden.text("steps").parse().unwrap())
        .with_seed(golden.text("seed").parse().unwrap());
    let instruction = golden.text("instruction").to_owned();
    let request = EditRequest::new(&photo, &instruction);
    let mut steps = editor.steps(&request, &options).unwrap();
    let last = steps.by_ref().map(Result::unwrap).last().unwrap();
    golden.check("latents", last.latents);
    golden.finish();
    let edited = steps.finish().unwrap().swap_remove(0);
    let expected = golden_pixels();
    let pairs = expected.iter().zip(pixels(&edited));
    let furthest = pairs.map(|(a, b)| a.abs_diff(*b)).max();
    assert!(furthest <= Some(3), "furthest {furthest:?}");
    assert_eq!(edited.record.embeddings[0].name, "tiny-xl");
}

fn golden_pixels() -> Vec<u8> {
    Golden::open("text/edit-xl").bytes("output.0")
}

#[test]
fn an_embedding_is_for_one_text_encoder_or_for_two() {
    let xl = || Model::open(fixture("tiny-sdxl")).unwrap();
    for (model, file, words) in [
        (
            model(),
            "xl.safetensors",
            "is for Stable Diffusion XL, whose two text encoders",
        ),
        (
            xl(),
            "cat.safetensors",
            "is for one text encoder; this model is Stable Diffusion XL",
        ),
        (xl(), "xl.safetensors", "is for a model of another size"),
    ] {
        let said = model
            .with_embedding(embedding(file))
            .unwrap_err()
            .to_string();
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn every_form_of_an_embedding_gives_the_same_picture() {
    let with = |file: &str| {
        let model = model().with_embedding_as(embedding(file), "<x>").unwrap();
        edit(&load(model), "make it a <x> hat", &options())
    };
    let expected = with("cat.safetensors");
    for file in ["cat.bin", "a1111.pt", "dictionary.pt", "params.safetensors"] {
        assert_eq!(pixels(&with(file)), pixels(&expected), "{file}");
    }
    assert_ne!(pixels(&with("one.safetensors")), pixels(&expected));
}

#[test]
fn an_embedding_that_no_sentence_names_is_told_and_changes_nothing() {
    let plain = edit(&load(model()), "make it snowy", &options());
    let editor = load(model().with_embedding(embedding("a1111.pt")).unwrap());
    let unnamed = edit(&editor, "make it snowy", &options());
    assert_eq!(pixels(&unnamed), pixels(&plain));
    assert!(unnamed.record.embeddings.is_empty());
    assert_eq!(
        unnamed.warnings,
        ["no sentence names the embedding a1111: write a1111 where it is to stand"]
    );
    let negative = options().with_negative("A1111, blur");
    let named = edit(&editor, "make it snowy", &negative);
    assert!(named.warnings.is_empty(), "{:?}", named.warnings);
    assert_eq!(named.record.embeddings[0].name, "a1111");
}

#[test]
fn an_embedding_for_another_family_or_of_a_name_that_is_there_is_refused() {
    let error = model()
        .with_embedding(embedding("wide.safetensors"))
        .unwrap_err();
    let said = error.to_string();
    assert!(said.contains("is for Stable Diffusion 2"), "{said}");
    let twice = model()
        .with_embedding(embedding("cat.safetensors"))
        .unwrap()
        .with_embedding(embedding("cat.bin"));
    let said = twice.unwrap_err().to_string();
    assert!(said.contains("is called <cat-toy>, as"), "{said}");
    assert!(matches!(
        model().with_embedding("nowhere.pt"),
        Err(Error::Io { .. })
    ));
}

#[test]
fn brackets_of_a_plain_sentence_stay_what_they_are() {
    let editor = load(model());
    let plain = edit(&editor, "make it (snowy:1.3)", &options());
    let a1111 = options().with_prompt_syntax(PromptSyntax::A1111);
    let weighted = edit(&editor, "make it (snowy:1.3)", &a1111);
    assert_ne!(pixels(&plain), pixels(&weighted));
    let escaped = edit(&editor, "make it \\(snowy:1.3\\)", &a1111);
    assert_eq!(pixels(&plain), pixels(&escaped));
    // A weight of 1 is none.
    let one = edit(&editor, "make it (snowy:1)", &a1111);
    let none = edit(&editor, "make it snowy", &options());
    assert_eq!(pixels(&one), pixels(&none));
}

#[test]
fn a_sentence_is_not_shortened_by_the_length_of_the_one_beside_it() {
    let editor = load(model());
    let long = ["make it snowy and remove the flower"; 8].join(", ");
    let chunks = options().with_long_prompt(LongPrompt::Chunks);
    let cut = edit(&editor, &long, &options());
    assert!(cut.warnings[0].contains("--long-prompt chunks takes it whole"));
    let whole = edit(&editor, &long, &chunks);
    assert!(whole.warnings.is_empty());
    assert_ne!(pixels(&cut), pixels(&whole));
    // Two of unequal lengths in one call are what each is alone, but for the last digits of sums in another order.
    let photo = photo();
    let requests = [
        EditRequest::new(&photo, &long),
        EditRequest::new(&photo, "make it snowy"),
    ];
    let both = editor.edit_batch(&requests, &chunks).unwrap();
    let short = edit(&editor, "make it snowy", &chunks);
    for (together, alone) in [(&both[0], &whole), (&both[1], &short)] {
        let pairs = pixels(together).iter().zip(pixels(alone));
        let furthest = pairs.map(|(a, b)| a.abs_diff(*b)).max();
        assert!(furthest <= Some(1), "{furthest:?}");
    }
    let plain = edit(&editor, "make it snowy", &options());
    assert_eq!(pixels(&short), pixels(&plain));
}

#[test]
fn a_sentence_that_is_not_of_its_syntax_is_refused_before_weights_are_loaded() {
    let model = model();
    let photo = photo();
    let a1111 = options().with_prompt_syntax(PromptSyntax::A1111);
    let refused = |instruction: &str, options: &EditOptions| {
        let request = EditRequest::new(&photo, instruction);
        model.check(&request, options).unwrap_err().to_string()
    };
    let said = refused("make it (snowy", &a1111);
    assert!(said.starts_with("instruction must be a sentence of the syntax a1111"));
    let negative = a1111.clone().with_negative("blur)");
    let said = refused("make it snowy", &negative);
    assert!(said.starts_with("negative must be"), "{said}");
    let record = model.record(Size::new(64, 64), None, "a (b", &a1111, Precision::F32);
    assert!(record.is_err());
}

#[test]
fn what_stands_after_every_sentence_of_a_model_is_read_and_not_recorded() {
    let known = model().with_known_profile("hive-condition").unwrap();
    let editor = load(known);
    let with = edit(&editor, "make it snowy", &options());
    let sentence = "make it snowy, image quality is five out of five";
    let plain = edit(&load(model()), sentence, &options());
    assert_eq!(pixels(&with), pixels(&plain));
    assert_eq!(with.record.instruction, "make it snowy");
    assert_eq!(with.record.profile.as_deref(), Some("hive-condition"));
    let error = model()
        .with_known_profile("hive-3")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("one of instruct-pix2pix, magicbrush"),
        "{error}"
    );
}

#[test]
fn other_adaptations_in_an_editor_are_those_of_a_fresh_load() {
    let lora = |name: &str, weight| Lora::open(fixture(&format!("lora/{name}")), weight).unwrap();
    let words = || {
        model()
            .with_embedding(embedding("cat.safetensors"))
            .unwrap()
    };
    let fresh = |loras: &[(&str, f64)]| {
        let with = |model: Model, &(name, weight): &(&str, f64)| {
            model
                .with_lora(fixture(&format!("lora/{name}")), weight)
                .unwrap()
        };
        load(loras.iter().fold(words(), with))
    };
    let instruction = "make it a <cat-toy> hat";
    let mut editor = load(words());
    for loras in [
        &[("diffusers.safetensors", 0.7)][..],
        &[("diffusers.safetensors", 0.2), ("loha.safetensors", 1.0)],
        &[("kohya.safetensors", 1.0)],
        &[],
    ] {
        let opened: Vec<_> = loras
            .iter()
            .map(|&(name, weight)| lora(name, weight))
            .collect();
        editor.set_loras(opened).unwrap();
        let expected = fresh(loras);
        let found = edit(&editor, instruction, &options());
        let wanted = edit(&expected, instruction, &options());
        assert_eq!(pixels(&found), pixels(&wanted), "{loras:?}");
        assert_eq!(editor.fingerprint(), expected.fingerprint(), "{loras:?}");
        assert_eq!(found.record, wanted.record, "{loras:?}");
    }
}

#[test]
fn adaptations_that_do_not_fit_leave_an_editor_what_it_was() {
    let mut editor = Editor::load(fixture("tiny-taesd"), &device()).unwrap();
    let before = edit(&editor, "make it snowy", &options());
    let lora = Lora::open(fixture("lora/kohya.safetensors"), 1.0).unwrap();
    let error = editor.set_loras([lora]).unwrap_err();
    assert!(matches!(error, Error::Weights { .. }), "{error}");
    let after = edit(&editor, "make it snowy", &options());
    assert_eq!(pixels(&before), pixels(&after));
    assert_eq!(before.record, after.record);
}
