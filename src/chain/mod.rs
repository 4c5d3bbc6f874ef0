//! A sentence of several edits, taken apart.
//!
//! A model that was taught one edit at a time does the first of two, or half of each. So "make it snowy, then turn the
//! car red and add a hat" becomes three edits that are made in turn. What is one edit must stay one: where the rules
//! are in doubt, the sentence stays whole.
//!
//! 1. A *joint* is `,`, `;` or `.` after a word, or `and`, `then`, `after that`, `afterwards`, or some of these
//!    together; `also`, `now`, `please`, `next` and `finally` may follow. Nothing within quotation marks is one.
//! 2. A joint parts two edits only if an order follows it: a verb of [`words`] with an object. So "black and white", "a
//!    red and blue ball" and "trees, flowers and a house" stay whole. A verb that may be a noun as well ("paint",
//!    "frame") must be followed by a word such as "the".
//! 3. What stands before the joint must be an order too, after words such as "please" or "could you". A sentence that
//!    begins otherwise is one edit: "in the corner, add a tree".
//! 4. At a joint without `then`, `after that`, `;` or `.` what follows may belong to a clause before: "a robot that can cook
//!    and make tea", "make the man sit down and turn the page". Where the part before has a relative clause, a verb
//!    after "to", or has somebody do something, the sentence stays whole there.
//! 5. A part that speaks of "it" or "its" needs what it stands for. Where that is the picture, it is the same in the next
//!    turn: "make it snowy and make it night". Where an earlier part names a thing, the two stay together: "add a dog
//!    and make it black". But a part that is of the picture anyway ("make it winter") and one after a removal
//!    can only mean the picture.

mod words;

use self::words::{
    ACTIONS, ARTICLES, ASKING, PARTICLES, PICTURE, REFERENCES, RELATIVES, REMOVALS, SURE_VERBS,
    UNSURE_VERBS, WHOLE,
};

/// The edits that a sentence asks for, in their order: the sentence itself if it is one edit.
///
/// The rules are those of a dozen lines of English grammar, and keep together what they are not sure of.
///
/// # Examples
///
/// ```
/// use ip2p::split_edits;
///
/// assert_eq!(
///     split_edits("make it snowy, then turn the car red and add a hat"),
///     ["make it snowy", "turn the car red", "add a hat"]
/// );
/// assert_eq!(split_edits("make it black and white"), ["make it black and white"]);
/// ```
#[must_use]
pub fn split_edits(sentence: &str) -> Vec<String> {
    let words = words_of(sentence);
    let mut starts = vec![0];
    let mut ends = Vec::new();
    let mut at = 1;
    while at < words.len() {
        let start = starts[starts.len() - 1];
        match joint(&words, at) {
            Some(joint) if parts(&words, &starts, start, at, &joint) => {
                ends.push(at);
                starts.push(joint.next);
                at = joint.next + 1;
            }
            _ => at += 1,
        }
    }
    if ends.is_empty() {
        return vec![sentence.to_owned()];
    }
    ends.push(words.len());
    let part = |(start, end): (&usize, &usize)| {
        let text = &sentence[words[*start].from..words[*end - 1].to];
        text.trim_end_matches([',', ';', '.', '!', '?']).to_owned()
    };
    starts.iter().zip(&ends).map(part).collect()
}

/// A word of a sentence.
#[derive(Debug)]
struct Word {
    /// In small letters, without what is not a letter or digit around it.
    text: String,
    /// Its first byte in the sentence, and the one after its last, punctuation included.
    from: usize,
    to: usize,
    /// The mark after it, if it is one that may be a joint.
    mark: Option<char>,
    /// Whether a quotation is open where it begins.
    quoted: bool,
}

/// Where one part may end and another begin.
#[derive(Debug)]
struct Joint {
    /// The first word after it.
    next: usize,
    /// Whether it says that one thing is done after another.
    firm: bool,
}

/// The words of a sentence. Those that are all punctuation count as words of no letters.
fn words_of(sentence: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut quote = None;
    let begin = |piece: &str| piece.as_ptr() as usize - sentence.as_ptr() as usize;
    for piece in sentence.split_whitespace() {
        let was_open = quote.is_some();
        follow_quotes(piece, &mut quote);
        let letters = |c: char| !c.is_alphanumeric();
        let text = piece.trim_matches(letters).to_lowercase();
        let from = begin(piece);
        let mark = piece.chars().last().filter(|c| ",;.!".contains(*c));
        words.push(Word {
            text,
            from,
            to: from + piece.len(),
            mark,
            quoted: was_open,
        });
    }
    words
}

/// Opens and closes quotation marks over the letters of a word; an apostrophe within it is none.
fn follow_quotes(piece: &str, quote: &mut Option<char>) {
    let closing = |c: char| match c {
        '"' => Some('"'),
        '“' | '„' => Some('”'),
        '‘' | '\'' => Some('\''),
        '«' => Some('»'),
        _ => None,
    };
    let count = piece.chars().count();
    for (at, c) in piece.chars().enumerate() {
        let rest_is_marks = piece.chars().skip(at + 1).all(|c| !c.is_alphanumeric());
        match *quote {
            Some(close) => {
                let is_close = c == close || (close == '\'' && c == '’');
                if is_close && (close == '"' || rest_is_marks) {
                    *quote = None;
                }
            }
            None if c == '"' || at == 0 => {
                // A single mark that is a word of its own opens nothing.
                *quote = closing(c).filter(|_| c != '\'' || count > 1);
            }
            None => {}
        }
    }
}

/// The joint between the word before `at` and those from there on, if there is one.
fn joint(words: &[Word], at: usize) -> Option<Joint> {
    if words[at].quoted {
        return None;
    }
    let mark = words[at - 1].mark;
    let mut firm = mark.is_some_and(|mark| mark != ',');
    let mut joined = mark.is_some();
    let mut next = at;
    while let Some(word) = words.get(next) {
        let following = words.get(next + 1).map_or("", |word| &word.text);
        let length = match (word.text.as_str(), following) {
            ("and" | "then" | "afterwards", _) => 1,
            ("after", "that") => 2,
            ("also" | "now" | "please" | "next" | "finally", _) if joined => 1,
            _ => break,
        };
        firm |= matches!(word.text.as_str(), "then" | "afterwards" | "after");
        joined = true;
        next += length;
    }
    let begins = words.get(next).is_some_and(|word| !word.quoted);
    (joined && begins).then_some(Joint { next, firm })
}

/// Whether a joint before the word `at` parts two edits, the first of which begins with the word `start`.
fn parts(words: &[Word], starts: &[usize], start: usize, at: usize, joint: &Joint) -> bool {
    let before = &words[start..at];
    let Some(order) = order_of(before, start == 0) else {
        return false;
    };
    let after = &words[joint.next..];
    let end = (joint.next + 1..words.len()).find(|&at| self::joint(words, at).is_some());
    let next = &words[joint.next..end.unwrap_or(words.len())];
    if !is_order(after, false) || (!joint.firm && goes_on(order)) {
        return false;
    }
    if !next.iter().any(|word| REFERENCES.contains(&&*word.text)) {
        return true;
    }
    // What stands before: all parts until here, for any of them may have named the thing.
    let ends = starts.iter().skip(1).copied().chain([at]);
    let earlier = starts.iter().zip(ends).map(|(&from, to)| &words[from..to]);
    refers_to_the_picture(next, earlier)
}

/// The words from a part's verb on; none if it does not begin with an order.
fn order_of(part: &[Word], is_first: bool) -> Option<&[Word]> {
    let polite = |word: &Word| is_first && ASKING.contains(&&*word.text);
    let skipped = part.iter().take_while(|word| polite(word)).count();
    let order = &part[skipped..];
    is_order(order, true).then_some(order)
}

/// Whether words begin with a verb that has an object; at the beginning of a sentence any of our verbs is one.
fn is_order(words: &[Word], at_beginning: bool) -> bool {
    let [verb, object, ..] = words else {
        return false;
    };
    if verb.mark.is_some() || object.text.is_empty() {
        return false;
    }
    let is_phrase = matches!(
        (verb.text.as_str(), object.text.as_str()),
        ("get", "rid") | ("take", "away" | "out")
    );
    let is_verb = |verbs: &[&str]| verbs.contains(&&*verb.text);
    let particle = PARTICLES.contains(&&*object.text);
    let defined = ARTICLES.contains(&&*object.text)
        || REFERENCES.contains(&&*object.text)
        || object.text.starts_with(|c: char| c.is_ascii_digit());
    is_phrase
        || (is_verb(SURE_VERBS) && !particle)
        || (is_verb(UNSURE_VERBS) && (defined || at_beginning))
}

/// Whether "and" after an order may go on with a clause in it rather than with the next order.
fn goes_on(order: &[Word]) -> bool {
    let is = |word: &Word, list: &[&str]| list.contains(&&*word.text);
    // "That" next to the verb points at something: "remove that car".
    let relative = order.iter().skip(2).any(|word| is(word, RELATIVES));
    let causes = ["make", "have", "let", "get"].contains(&&*order[0].text);
    let acts = causes && order.iter().skip(2).any(|word| is(word, ACTIONS));
    let infinitive = order.windows(2).any(|pair| {
        pair[0].text == "to"
            && [SURE_VERBS, UNSURE_VERBS, ACTIONS]
                .iter()
                .any(|list| is(&pair[1], list))
    });
    relative || acts || infinitive
}

/// Whether "it" in a part is the picture, and so is what it was when the part is a turn of its own.
fn refers_to_the_picture<'a>(part: &[Word], mut earlier: impl Iterator<Item = &'a [Word]>) -> bool {
    let has = |part: &[Word], list: &[&str]| part.iter().any(|word| list.contains(&&*word.text));
    let only_it = !part
        .iter()
        .any(|word| REFERENCES.contains(&&*word.text) && word.text != "it");
    if only_it && has(part, PICTURE) {
        return true;
    }
    earlier.all(|part| {
        let Some(order) = order_of(part, true) else {
            return false;
        };
        let removes = REMOVALS.contains(&&*order[0].text) && only_it;
        let object = order.iter().skip(1).take(3);
        let of_picture =
            order[1].text == "it" || object.clone().any(|word| WHOLE.contains(&&*word.text));
        let put_there = ["add", "put", "insert", "place", "draw"].contains(&&*order[0].text);
        removes || (of_picture && !put_there)
    })
}

#[cfg(test)]
mod tests;
