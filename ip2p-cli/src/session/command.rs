//! What a line of a session says.

use ip2p::{Error, Result};

/// What `help` prints.
pub(super) const HELP: &str = "\
SENTENCE            edit the photo as it is now; of several edits each is a turn
edit SENTENCE       the same, for a sentence that begins with one of these words
undo, redo          take the last turn back; bring it again
branch NAME         go on here under another name; what was stays under the old one
switch NAME         go to another branch
list                the branches, and the turns of this one
compare [PICTURE]   how far each turn went from the first photo; into a picture, all of them side by side
set NAME VALUE      an option of ip2p edit for the turns to come: set text_scale 9, set mask sky.png, set where top left
set                 what was set
unset NAME          the option as it was before it was set
save PICTURE        write the picture; the ending says the format
quit                end; the session is in its file";

/// The commands, by their first words.
pub(super) const WORDS: [&str; 13] = [
    "edit", "undo", "redo", "branch", "switch", "list", "compare", "set", "unset", "save", "help",
    "quit", "exit",
];

/// A line, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    Edit(String),
    Undo,
    Redo,
    Branch(String),
    Switch(String),
    List,
    Compare(Option<String>),
    Set(String, String),
    Settings,
    Unset(String),
    Save(String),
    Help,
    Quit,
}

impl Command {
    /// What a line says: none if it is empty or a remark, which begins with #.
    ///
    /// # Errors
    ///
    /// If a command lacks what it needs, or has what it does not take.
    pub(super) fn parse(line: &str) -> Result<Option<Self>> {
        let line = line.trim();
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        let needs = |name: &'static str, what: &str| {
            if rest.is_empty() {
                return Err(Error::setting(
                    name,
                    format!("followed by {what}"),
                    "it alone",
                ));
            }
            Ok(rest.to_owned())
        };
        let alone = |name: &'static str, command| {
            if rest.is_empty() {
                return Ok(command);
            }
            let expected = format!("alone (for a sentence, write: edit {line})");
            Err(Error::setting(name, expected, format!("{rest:?} after it")))
        };
        let command = match word {
            "" => return Ok(None),
            _ if word.starts_with('#') => return Ok(None),
            "edit" => Self::Edit(needs("edit", "a sentence")?),
            "undo" => alone("undo", Self::Undo)?,
            "redo" => alone("redo", Self::Redo)?,
            "branch" => Self::Branch(needs("branch", "a name")?),
            "switch" => Self::Switch(needs("switch", "the name of a branch")?),
            "list" => alone("list", Self::List)?,
            "compare" if rest.is_empty() => Self::Compare(None),
            "compare" if ip2p::check_output(rest).is_ok() => Self::Compare(Some(rest.to_owned())),
            "compare" => {
                let expected = format!(
                    "alone, or followed by the name of a picture (for a sentence, write: edit {line})"
                );
                return Err(Error::setting("compare", expected, rest));
            }
            "set" if rest.is_empty() => Self::Settings,
            "set" => match rest.split_once(char::is_whitespace) {
                Some((name, value)) => Self::Set(name.to_owned(), value.trim().to_owned()),
                None => {
                    return Err(Error::setting(
                        "set",
                        "followed by a name and a value",
                        rest,
                    ));
                }
            },
            "unset" => Self::Unset(needs("unset", "a name")?),
            "save" => Self::Save(needs("save", "the name of a picture")?),
            "help" => alone("help", Self::Help)?,
            "quit" | "exit" => alone("quit", Self::Quit)?,
            _ => Self::Edit(line.to_owned()),
        };
        Ok(Some(command))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_command_or_a_sentence() {
        let parse = |line| Command::parse(line).unwrap();
        assert_eq!(parse("  "), None);
        assert_eq!(parse("# winter"), None);
        assert_eq!(
            parse("make it snowy"),
            Some(Command::Edit("make it snowy".into()))
        );
        assert_eq!(
            parse("edit set the sky on fire"),
            Some(Command::Edit("set the sky on fire".into()))
        );
        assert_eq!(parse(" undo "), Some(Command::Undo));
        assert_eq!(parse("set"), Some(Command::Settings));
        assert_eq!(
            parse("set where  top left"),
            Some(Command::Set("where".into(), "top left".into()))
        );
        assert_eq!(parse("compare"), Some(Command::Compare(None)));
        assert_eq!(
            parse("compare my sheet.png"),
            Some(Command::Compare(Some("my sheet.png".into())))
        );
        assert_eq!(
            parse("save my photo.png"),
            Some(Command::Save("my photo.png".into()))
        );
    }

    #[test]
    fn every_word_is_a_command_and_not_a_sentence() {
        for word in WORDS {
            let parsed = Command::parse(&format!("{word} x"));
            let sentence = matches!(&parsed, Ok(Some(Command::Edit(text))) if *text != "x");
            assert!(!sentence, "{word}: {parsed:?}");
        }
    }

    #[test]
    fn a_command_that_may_be_a_sentence_is_never_taken_for_another() {
        for line in [
            "undo the snow",
            "list all",
            "compare the cat to a dog",
            "branch",
            "set steps",
            "save",
            "edit",
        ] {
            let error = Command::parse(line).unwrap_err().to_string();
            assert!(error.contains(line.split(' ').next().unwrap()), "{error}");
        }
        let error = Command::parse("undo the snow").unwrap_err().to_string();
        assert!(error.contains("write: edit undo the snow"), "{error}");
    }
}
