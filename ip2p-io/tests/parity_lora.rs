//! Low-rank adaptations against diffusers and PEFT: the weights with the files of each trainer merged.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use ip2p_core::Precision;
use ip2p_io::{Checkpoint, Component, Lora};
use ip2p_testing::{Golden, device, fixture};

fn tiny() -> Checkpoint {
    Checkpoint::open(fixture("tiny-ip2p")).unwrap()
}

fn adapted(name: &str, weight: f64) -> Checkpoint {
    let file = fixture(&format!("lora/{name}.safetensors"));
    tiny().with_lora(Lora::open(file, weight).unwrap()).unwrap()
}

fn read(checkpoint: &Checkpoint, component: Component, name: &str) -> Vec<f32> {
    let weights = checkpoint.weights(component, Precision::F32).unwrap();
    weights.read(name, &device()).unwrap()
}

/// Compares each weight that a fixture holds.
fn assert_merged(name: &str, weight: f64) {
    let checkpoint = &adapted(name, weight);
    let mut golden = Golden::open(&format!("lora/{name}-merged"));
    let mut changed = 0;
    for name in &golden.names() {
        let component = [Component::Unet, Component::TextEncoder]
            .into_iter()
            .find(|component| name.starts_with(&format!("{component}.")));
        let Some(component) = component else {
            continue;
        };
        let key = name.strip_prefix(&format!("{component}.")).unwrap();
        let found = read(checkpoint, component, key);
        changed += usize::from(found != read(&tiny(), component, key));
        golden.check_floats(name, &found);
    }
    assert!(changed >= 4, "{changed} weights changed");
    golden.finish();
}

#[test]
fn the_files_of_diffusers_are_merged_as_diffusers_does() {
    // The weight that gen_lora.py merged it with.
    assert_merged("diffusers", 0.7);
}

#[test]
fn the_files_of_kohya_are_merged_as_diffusers_does() {
    assert_merged("kohya", 1.0);
    let checkpoint = adapted("kohya", 1.0);
    let [note] = checkpoint.lora_notes() else {
        panic!("{:?}", checkpoint.lora_notes());
    };
    assert!(note.contains("conv_in is of 4 channels"), "{note}");
}

#[test]
fn the_files_of_pytorch_are_read_as_those_of_safetensors() {
    let open = |name: &str| Lora::open(fixture(name), 1.0).unwrap();
    let (pickle, plain) = (open("lora/kohya.pt"), open("lora/kohya.safetensors"));
    assert_ne!(pickle.hash(), plain.hash());
    let values = |lora: Lora| {
        let checkpoint = tiny().with_lora(lora).unwrap();
        read(&checkpoint, Component::Unet, "conv_in.weight")
    };
    assert_eq!(values(pickle), values(plain));
}

#[test]
fn the_files_of_lycoris_are_merged_as_peft_does() {
    for name in ["loha", "lokr", "dora"] {
        assert_merged(name, 1.0);
    }
}

#[test]
fn several_files_add_up_whatever_their_order() {
    let open = |name: &str, weight| {
        Lora::open(fixture(&format!("lora/{name}.safetensors")), weight).unwrap()
    };
    let both =
        |first: Lora, second: Lora| tiny().with_lora(first).unwrap().with_lora(second).unwrap();
    let (one, other) = (open("dora", 0.5), open("loha", -0.25));
    let forwards = both(one.clone(), other.clone());
    let backwards = both(other, one);
    let hashes =
        [&forwards, &backwards].map(|checkpoint| checkpoint.fingerprint(Precision::F32).unwrap());
    assert_eq!(hashes[0], hashes[1]);
    assert_ne!(hashes[0], tiny().fingerprint(Precision::F32).unwrap());
    let values = |checkpoint: &Checkpoint| read(checkpoint, Component::Unet, "conv_in.weight");
    let (base, dora, loha) = (
        values(&tiny()),
        values(&adapted("dora", 1.0)),
        values(&adapted("loha", 1.0)),
    );
    let sum = values(&forwards);
    assert_ne!(sum, base);
    for (i, (a, b)) in sum.iter().zip(values(&backwards)).enumerate() {
        let expected = base[i] + 0.5 * (dora[i] - base[i]) - 0.25 * (loha[i] - base[i]);
        assert!(
            (a - b).abs() < 1e-6 && (a - expected).abs() < 1e-5,
            "{i}: {a}, {b}, {expected}"
        );
    }
}

#[test]
fn a_weight_of_nought_changes_nothing() {
    for name in ["diffusers", "dora", "loha"] {
        let key = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.weight";
        let values = |checkpoint: &Checkpoint| read(checkpoint, Component::Unet, key);
        assert_eq!(values(&adapted(name, 0.0)), values(&tiny()), "{name}");
    }
}
