use proptest::prelude::*;

use super::super::{EmbeddingRecord, LoraRecord};
use super::*;
use crate::prompt::LongPrompt;

#[test]
fn the_text_is_in_the_form_that_other_tools_read() {
    let record = EditRecord {
        instruction: "make it snowy".into(),
        negative: Some("people, cars".into()),
        model: Some("instruct-pix2pix: raw, 2023".into()),
        model_hash: Some("0123abcd".into()),
        model_size: Some(Size::new(512, 384)),
        version: "ip2p 0.1.0".into(),
        seed: 42,
        ..EditRecord::default()
    };
    assert_eq!(
        record.to_parameters(),
        "make it snowy\n\
         Negative prompt: people, cars\n\
         Steps: 20, Sampler: Euler a, Schedule type: Uniform, CFG scale: 7.5, Image CFG scale: 1.5, Seed: 42, \
         Size: 512x384, Model hash: 0123abcd, Model: \"instruct-pix2pix: raw, 2023\", Denoising strength: 1, \
         RNG: CPU, Version: ip2p 0.1.0"
    );
}

#[test]
fn a_text_of_automatic1111_is_read() {
    let text = "turn him into a \"cyborg\"<lora:a:0.5>\nwith wires\nNegative prompt: blur,\nugly\n\
                Steps: 30, Sampler: DPM++ 2M Karras, CFG scale: 7, Image CFG scale: 1.25, Seed: 1371, Size: 512x768, \
                Model hash: fbc31a67aa, Model: instruct-pix2pix, Lora hashes: \"a: 1, b: \\\"2\\\"\", TI hashes: \"easy: c74b4e810b03\", RNG: NV, Version: v1.9.4";
    let record = EditRecord::parse_parameters(text).unwrap();
    let expected = EditRecord {
        instruction: "turn him into a \"cyborg\"\nwith wires".into(),
        negative: Some("blur,\nugly".into()),
        steps: 30,
        sampler: "dpmpp-2m".into(),
        schedule: "karras".into(),
        text_scale: 7.0.into(),
        image_scale: 1.25.into(),
        seed: 1371,
        noise: NoiseKind::TorchCuda,
        size: Size::new(512, 768).into(),
        model_size: Some(Size::new(512, 768)),
        model_hash: Some("fbc31a67aa".into()),
        model: Some("instruct-pix2pix".into()),
        loras: vec![LoraRecord {
            name: "a".into(),
            weight: 0.5,
            hash: Some("1".into()),
            ..LoraRecord::default()
        }],
        version: "v1.9.4".into(),
        embeddings: vec![EmbeddingRecord {
            name: "easy".into(),
            hash: Some("c74b4e810b03".into()),
            path: None,
        }],
        prompt_syntax: PromptSyntax::A1111,
        long_prompt: LongPrompt::Chunks,
        ..EditRecord::default()
    };
    assert_eq!(record, expected);
}

#[test]
fn a_text_that_says_no_settings_is_none() {
    for text in [
        "",
        "\n",
        "a photo of a cat",
        "a: 1, b: 2",
        "x\nSteps: 20",
        ",,,:::\"",
        "\"\"\": \"\\",
    ] {
        assert_eq!(EditRecord::parse_parameters(text), None, "{text}");
    }
}

#[test]
fn a_value_that_makes_no_sense_is_as_if_it_were_not_there() {
    let text = "x\nSteps: many, CFG scale: nan, Seed: -1, Size: big, Image CFG scale: inf";
    let record = EditRecord::parse_parameters(text).unwrap();
    let expected = EditRecord {
        instruction: "x".into(),
        version: String::new(),
        prompt_syntax: PromptSyntax::A1111,
        long_prompt: LongPrompt::Chunks,
        ..EditRecord::default()
    };
    assert_eq!(record, expected);
}

#[test]
fn a_sampler_that_we_lack_keeps_its_name() {
    let record = EditRecord::parse_parameters("Steps: 1, Sampler: DPM2 a, Seed: 2").unwrap();
    assert_eq!(record.sampler, "DPM2 a");
}

#[test]
fn what_was_named_in_the_sentences_and_how_they_are_read_is_said() {
    let record = EditRecord {
        instruction: "make it a (<cat>:1.2)".into(),
        vae_path: Some("vaes/mse.safetensors".into()),
        embeddings: vec![EmbeddingRecord {
            name: "<cat>".into(),
            hash: Some("12ab".into()),
            path: Some("cat.pt".into()),
        }],
        prompt_syntax: PromptSyntax::A1111,
        long_prompt: LongPrompt::Chunks,
        ..EditRecord::default()
    };
    let text = record.to_parameters();
    let said = "VAE: mse.safetensors, TI hashes: \"<cat>: 12ab\", Prompt syntax: a1111,";
    assert!(text.contains(said), "{text}");
    let back = EditRecord::parse_parameters(&text).unwrap();
    assert_eq!(back.prompt_syntax, PromptSyntax::A1111);
    assert_eq!(back.embeddings[0].name, "<cat>");
}

#[test]
fn short_cuts_are_said_and_come_back() {
    let record = EditRecord {
        guidance_interval: Some("0.1..0.6".parse().unwrap()),
        adaptive_guidance: Some(0.95),
        deep_cache: Some(3),
        ..EditRecord::default()
    };
    let text = record.to_parameters();
    let said = "Guidance interval: 0.1..0.6, Adaptive guidance: 0.95, Deep cache: 3,";
    assert!(text.contains(said), "{text}");
    let back = EditRecord::parse_parameters(&text).unwrap();
    assert_eq!(back.guidance_interval, record.guidance_interval);
    assert_eq!(back.adaptive_guidance, record.adaptive_guidance);
    assert_eq!(back.deep_cache, record.deep_cache);
    let odd = "x\nSteps: 1, Guidance interval: 1..0, Adaptive guidance: 2, Deep cache: 0";
    let back = EditRecord::parse_parameters(odd).unwrap();
    assert_eq!(
        (back.guidance_interval, back.adaptive_guidance),
        (None, None)
    );
    assert_eq!(back.deep_cache, None);
}

proptest! {
    #[test]
    fn what_the_text_says_comes_back(
        instruction in "[^\0\r]{0,40}", seed: u64, steps in 1..1000_usize, model in "[^\0\r]{1,20}",
        scales in prop::collection::vec(-20.0..20.0, 1..5), sampler in 0..SAMPLERS.len(),
    ) {
        prop_assume!(!instruction.contains(NEGATIVE));
        let record = EditRecord {
            instruction: instruction.trim().lines().map(str::trim).collect::<Vec<_>>().join("\n"),
            seed,
            steps,
            sampler: SAMPLERS[sampler].0.into(),
            text_scale: scales.into(),
            model: Some(model.trim().to_owned()),
            ..EditRecord::default()
        };
        let back = EditRecord::parse_parameters(&record.to_parameters()).unwrap();
        prop_assert_eq!(back, record);
    }

    #[test]
    fn no_text_is_too_strange(text in ".{0,80}\n?.{0,80}") {
        let _ = EditRecord::parse_parameters(&text);
    }
}
