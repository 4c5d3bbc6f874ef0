use ip2p_testing::fixture;
use proptest::prelude::*;

use super::testing::embeddings;
use super::*;

fn tokenizer() -> Tokenizer {
    Tokenizer::open(fixture("tiny-ip2p/tokenizer")).unwrap()
}

fn rules(syntax: PromptSyntax, embeddings: &Embeddings) -> PromptRules<'_> {
    PromptRules {
        syntax,
        long_prompt: syntax.long_prompt(),
        embeddings,
    }
}

fn encode(syntax: PromptSyntax, text: &str, embeddings: &Embeddings) -> EncodedPrompt {
    let rules = rules(syntax, embeddings);
    tokenizer()
        .encode_prompt("instruction", text, &rules)
        .unwrap()
}

#[test]
fn names_survive_the_round_trip_through_text() {
    for syntax in PromptSyntax::ALL {
        assert_eq!(syntax.to_string().parse::<PromptSyntax>().unwrap(), syntax);
    }
    for long in LongPrompt::ALL {
        assert_eq!(long.to_string().parse::<LongPrompt>().unwrap(), long);
    }
    assert!("A1111".parse::<PromptSyntax>().is_err());
    assert!("".parse::<LongPrompt>().is_err());
}

#[test]
fn brackets_of_a_plain_sentence_are_tokens() {
    let none = embeddings(&[]);
    let plain = encode(PromptSyntax::Plain, "make it (snowy:1.3)", &none);
    assert!(!plain.is_weighted());
    assert_eq!(
        plain.chunks[0].ids,
        tokenizer().encode("make it (snowy:1.3)").unwrap().ids
    );
    let weighted = encode(PromptSyntax::A1111, "make it (snowy:1.3)", &none);
    assert_eq!(
        weighted.chunks[0].ids,
        tokenizer().encode("make it snowy").unwrap().ids
    );
    let heavy: Vec<_> = weighted.chunks[0]
        .weights
        .iter()
        .filter(|w| **w != 1.0)
        .collect();
    assert!(!heavy.is_empty() && heavy.iter().all(|w| **w == 1.3));
}

#[test]
fn an_embedding_stands_for_its_vectors_and_has_the_weight_of_its_brackets() {
    let known = embeddings(&[("<a>", 1), ("<b>", 2)]);
    let found = encode(PromptSyntax::A1111, "(<b>:0.5) hat <a>", &known);
    let hat = tokenizer().tokens("hat").unwrap();
    let chunk = &found.chunks[0];
    assert_eq!(chunk.ids[1..3], [1001, 1002]);
    assert_eq!(
        chunk.ids[3..3 + hat.len()],
        hat.iter().map(|&id| id.into()).collect::<Vec<i64>>()
    );
    assert_eq!(chunk.ids[3 + hat.len()], 1000);
    assert_eq!(chunk.weights[..4], [1.0, 0.5, 0.5, 1.0]);
    assert_eq!(found.embeddings, BTreeSet::from([0, 1]));
    assert_eq!(known.rows().unwrap().0.len(), 9);
}

#[test]
fn embeddings_of_one_name_or_two_widths_are_refused() {
    let mut known = embeddings(&[("Cat", 1)]);
    let error = known
        .add(Embedding::of_values("cat", &[0.0; 3], 3))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("is called cat") && error.contains("FILE=cat-2"),
        "{error}"
    );
    let error = known
        .add(Embedding::of_values("dog", &[0.0; 4], 4))
        .unwrap_err()
        .to_string();
    assert!(error.contains("4 wide"), "{error}");
}

#[test]
fn a_long_sentence_is_cut_or_encoded_in_chunks() {
    let known = embeddings(&[("<a>", 1)]);
    let text = format!("{} <a> hat", ["hat"; 75].join(" "));
    let cut = encode(PromptSyntax::Plain, &text, &known);
    assert_eq!(
        (cut.chunks.len(), cut.truncated.as_deref()),
        (1, Some("<a> hat"))
    );
    assert!(cut.embeddings.is_empty());
    let whole = encode(PromptSyntax::A1111, &text, &known);
    assert_eq!((whole.chunks.len(), whole.truncated), (2, None));
    assert_eq!(whole.chunks[1].ids[1], 1000);
    assert!(whole.chunks.iter().all(|chunk| chunk.ids.len() == 77));
}

#[test]
fn what_cannot_be_read_is_refused_by_name() {
    let none = embeddings(&[]);
    let refused = |text: &str, long_prompt| {
        let rules = PromptRules {
            long_prompt,
            ..rules(PromptSyntax::A1111, &none)
        };
        let found = tokenizer().encode_prompt("negative", text, &rules);
        found.unwrap_err().to_string()
    };
    for (text, words) in [
        (
            "(snow",
            "negative must be a sentence of the syntax a1111, got one with a bracket (",
        ),
        ("BREAK hat", "nothing before it: an empty chunk"),
        (
            "hat BREAK , BREAK BREAK hat",
            "nothing before it: an empty chunk",
        ),
        ("hat BREAK", "nothing after it: an empty chunk"),
    ] {
        let error = refused(text, LongPrompt::Chunks);
        assert!(error.contains(words), "{error}");
    }
    let error = refused("a BREAK b", LongPrompt::Cut);
    assert!(error.contains("--long-prompt chunks"), "{error}");
    let error = refused(&["hat"; 601].join(" "), LongPrompt::Chunks);
    assert!(
        error.contains("at most 8 chunks of 75 tokens, got 9 chunks"),
        "{error}"
    );
    let large = embeddings(&[("<large>", 76)]);
    let rules = rules(PromptSyntax::A1111, &large);
    let error = tokenizer()
        .encode_prompt("instruction", "a <large>", &rules)
        .unwrap_err();
    assert!(error.to_string().contains("has 76 vectors"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_plain_sentence_has_the_ids_that_it_always_had(text in ".{0,200}") {
        let tokenizer = tokenizer();
        let none = embeddings(&[]);
        let found = tokenizer.encode_prompt("instruction", &text, &rules(PromptSyntax::Plain, &none)).unwrap();
        let expected = tokenizer.encode(&text).unwrap();
        prop_assert_eq!(&found.chunks[0].ids, &expected.ids);
        prop_assert_eq!(found.chunks.len(), 1);
        prop_assert_eq!(found.truncated, expected.truncated);
        prop_assert!(!found.chunks[0].weights.iter().any(|&weight| weight != 1.0));
    }
}
