//! Several edits in one call of `ip2p edit`, made in turn.

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use ip2p::region::Mask;
use ip2p::{
    Compat, EditOptions, EditRecord, Edited, Editor, Error, Model, PhotoFile, PromptSyntax, Result,
    Session, Timings, TurnRequest, split_edits,
};

use crate::args::EditArgs;
use crate::edit::{options, walk};
use crate::exit;
use crate::progress::Progress;

/// Said where a sentence is taken apart.
const AT_ONCE: &str = " (--at-once makes them one)";

/// One edit.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Link {
    pub(crate) instruction: String,
    pub(crate) options: EditOptions,
}

/// The edits that the command line asks for, after those of the picture of `--from` if it has no sentence of its own.
pub(crate) fn links(args: &EditArgs, record: Option<&EditRecord>) -> Result<Vec<Link>> {
    let more = more(args)?;
    if let (None, Some(record)) = (&args.instruction, record) {
        let mut links = repeated(args, record)?;
        let last = &links[links.len() - 1].options;
        let next = last.clone().with_seed(last.seed.wrapping_add(1));
        links.extend(in_turn(more, &next));
        return Ok(links);
    }
    let options = options(args, record)?;
    let whole = args.chain.at_once || options.compat != Compat::None || !more.is_empty();
    let sentences = match &args.instruction {
        Some(sentence) if !whole => {
            apart(sentence, options.prompt_syntax, args.report.quiet, AT_ONCE)
        }
        sentence => sentence.iter().cloned().chain(more).collect(),
    };
    Ok(in_turn(sentences, &options))
}

/// The edits of `--edits`, then those of `--then`.
fn more(args: &EditArgs) -> Result<Vec<String>> {
    let mut sentences = match &args.chain.edits {
        Some(path) => lines(path)?,
        None => Vec::new(),
    };
    sentences.extend(args.chain.then.iter().cloned());
    Ok(sentences)
}

/// The edits in a file, one a line.
fn lines(path: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(path).map_err(|error| Error::io(path, error))?;
    let lines = text.lines().map(str::trim);
    let lines: Vec<_> = lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(ToOwned::to_owned)
        .collect();
    if lines.is_empty() {
        let expected = "a file with an edit on each line";
        return Err(Error::setting("edits", expected, path.display()));
    }
    Ok(lines)
}

/// The edits of a sentence, of which the user is told if there are several, and what else there is to do.
///
/// Brackets that mean something hold a sentence together.
pub(crate) fn apart(sentence: &str, syntax: PromptSyntax, quiet: bool, hint: &str) -> Vec<String> {
    let parts = split_edits(sentence);
    if syntax != PromptSyntax::Plain && parts.iter().any(|part| has_half_a_bracket(part)) {
        return vec![sentence.to_owned()];
    }
    if parts.len() > 1 && !quiet {
        let count = parts.len();
        let parts = parts.join(" | ");
        exit::tell(&format!(
            "{count} edits, one after the other: {parts}{hint}"
        ));
    }
    parts
}

/// Whether a bracket is opened and not closed, or the other way round.
fn has_half_a_bracket(part: &str) -> bool {
    let mut open = [0, 0];
    let mut is_escaped = false;
    for c in part.chars() {
        match c {
            _ if is_escaped => {}
            '(' => open[0] += 1,
            ')' => open[0] -= 1,
            '[' => open[1] += 1,
            ']' => open[1] -= 1,
            _ => {}
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    open != [0, 0]
}

/// Each edit with a seed of its own: those that follow the first.
fn in_turn(sentences: Vec<String>, options: &EditOptions) -> Vec<Link> {
    let seeds = (0..).map(|turn| options.seed.wrapping_add(turn));
    sentences
        .into_iter()
        .zip(seeds)
        .map(|(instruction, seed)| Link {
            instruction,
            options: options.clone().with_seed(seed),
        })
        .collect()
}

/// The edits that made a picture, with what the command line says over them.
fn repeated(args: &EditArgs, record: &EditRecord) -> Result<Vec<Link>> {
    let turns = record.earlier.iter().chain([record]);
    let masks: Vec<_> = turns.clone().map(|turn| &turn.mask_hash).collect();
    if masks.windows(2).any(|pair| pair[0] != pair[1]) {
        let expected =
            "a picture whose turns had one mask; make the turns of this one again in a session";
        return Err(Error::setting("from", expected, "one with several"));
    }
    let links = turns.enumerate().map(|(turn, record)| {
        let options = options(args, Some(record))?;
        let seed = match args.choice.seed {
            Some(seed) => seed.wrapping_add(turn as u64),
            None => options.seed,
        };
        Ok(Link {
            instruction: record.instruction.clone(),
            options: options.with_seed(seed),
        })
    });
    links.collect()
}

/// Whether the edits make sense as turns of a session.
pub(crate) fn check(model: &Model, links: &[Link]) -> Result<()> {
    links
        .iter()
        .try_for_each(|link| Session::check(model, &link.options))
}

/// Makes the edits in turn, as often as there are variations.
pub(crate) fn edit(
    editor: &Editor,
    photo: PhotoFile,
    links: &[Link],
    (mask, count): (Option<&Mask>, usize),
    progress: Progress,
    stop: &AtomicBool,
) -> Result<(Vec<Edited>, Timings)> {
    let mut timings = Timings::default();
    let begun = Session::begin(editor, photo, &links[0].options)?;
    let mut edited = Vec::with_capacity(count);
    for variation in 0..count as u64 {
        let mut session = begun.clone();
        for link in links {
            let seed = link.options.seed.wrapping_add(variation);
            let mut request = TurnRequest::new(&link.instruction);
            request.mask = mask;
            let options = link.options.clone().with_seed(seed);
            let mut steps = session.steps(editor, request, &options)?;
            let count = steps.steps();
            walk(&mut steps, count, progress, stop)?;
            let Timings {
                text,
                encode,
                steps: each,
                ..
            } = steps.timings().clone();
            timings.text += text;
            timings.encode += encode;
            timings.steps.extend(each);
            session.add(steps)?;
        }
        let started = std::time::Instant::now();
        edited.push(session.picture(editor)?);
        timings.decode += started.elapsed();
    }
    Ok((edited, timings))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_turn_has_a_seed_of_its_own() {
        let options = EditOptions::default().with_seed(u64::MAX);
        let links = in_turn(vec!["a".into(), "b".into(), "c".into()], &options);
        let seeds: Vec<_> = links.iter().map(|link| link.options.seed).collect();
        assert_eq!(seeds, [u64::MAX, 0, 1]);
    }

    #[test]
    fn brackets_that_mean_something_hold_a_sentence_together() {
        let count = |sentence, syntax| apart(sentence, syntax, true, "").len();
        let (plain, a1111) = (PromptSyntax::Plain, PromptSyntax::A1111);
        for (sentence, expected) in [
            ("make it (snowy:1.3), then add a hat", 2),
            ("(make it snowy, then add a hat:1.3)", 1),
            ("make it snowy \\(white, then add a hat", 2),
        ] {
            assert_eq!(count(sentence, a1111), expected, "{sentence}");
            assert_eq!(count(sentence, plain), 2, "{sentence}");
        }
    }

    #[test]
    fn a_file_has_an_edit_on_each_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("edits.txt");
        fs::write(
            &path,
            "# winter\nmake it snowy\n\n  add a hat and a scarf \r\n",
        )
        .unwrap();
        assert_eq!(
            lines(&path).unwrap(),
            ["make it snowy", "add a hat and a scarf"]
        );
        fs::write(&path, "\n# nothing\n").unwrap();
        assert!(lines(&path).is_err());
    }
}
