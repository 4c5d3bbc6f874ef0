//! Tokenizer files of any bytes make a tokenizer or are refused; a tokenizer gives ids for any sentence, and in the other syntax
//! ids or a reason.
#![no_main]

use ip2p::io::{Embeddings, LongPrompt, PromptRules, PromptSyntax, Tokenizer, TokenizerFiles};

libfuzzer_sys::fuzz_target!(|parts: (Option<Vec<u8>>, Option<Vec<u8>>, Option<Vec<u8>>, Option<Vec<u8>>, String)| {
    let (tokenizer, vocab, merges, config, sentence) = parts;
    let files = TokenizerFiles {
        folder: "fuzzed".into(),
        tokenizer,
        vocab,
        merges,
        config,
        special_tokens: None,
        added_tokens: None,
    };
    if let Ok(tokenizer) = Tokenizer::from_bytes(&files)
        && let Ok(encoding) = tokenizer.encode(&sentence)
    {
        assert_eq!(encoding.ids.len(), tokenizer.max_length());
        let rules = PromptRules {
            syntax: PromptSyntax::A1111,
            long_prompt: LongPrompt::Chunks,
            embeddings: &Embeddings::new(1 << 16),
        };
        if let Ok(prompt) = tokenizer.encode_prompt("instruction", &sentence, &rules) {
            assert!(prompt.chunks.iter().all(|chunk| chunk.ids.len() == tokenizer.max_length()));
        }
    }
});
