//! Sentences with weights and in chunks, against the published rules: `tests/golden/gen_text.py`.

use ip2p_io::{Embeddings, LongPrompt, PromptRules, PromptSyntax, Tokenizer};
use ip2p_testing::{Golden, fixture};

#[test]
fn ids_and_weights_are_those_of_the_published_rules() {
    let golden = Golden::open("text/weights");
    let sentences: Vec<String> = serde_json::from_str(golden.text("sentences")).expect("a list");
    let tokenizer = Tokenizer::open(fixture("tiny-ip2p/tokenizer")).expect("a tokenizer");
    let none = Embeddings::new(608);
    let rules = PromptRules {
        syntax: PromptSyntax::A1111,
        long_prompt: LongPrompt::Chunks,
        embeddings: &none,
    };
    let mut lengths = Vec::new();
    for (index, sentence) in sentences.iter().enumerate() {
        let found = tokenizer
            .encode_prompt("instruction", sentence, &rules)
            .expect("a sentence");
        let ids: Vec<i64> = found
            .chunks
            .iter()
            .flat_map(|chunk| chunk.ids.clone())
            .collect();
        assert_eq!(ids, golden.ints(&format!("ids.{index}")), "{sentence}");
        let weights = found.chunks.iter().flat_map(|chunk| &chunk.weights);
        let expected = golden.floats(&format!("weights.{index}"));
        for (found, expected) in weights.zip(&expected) {
            assert!(
                (found - expected).abs() < 1e-6,
                "{sentence}: {found} {expected}"
            );
        }
        assert_eq!(expected.len(), ids.len());
        lengths.push(found.chunks.len());
    }
    assert_eq!(lengths[..4], [1; 4]);
    assert!(lengths[4..].iter().all(|&length| length > 1), "{lengths:?}");
}
