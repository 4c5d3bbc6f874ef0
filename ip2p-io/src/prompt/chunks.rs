//! Tokens in chunks, each as long as the text encoder takes.
//!
//! `tokenize_line` of AUTOMATIC1111's `modules/sd_hijack_clip.py`, with its usual setting of `comma_padding_backtrack`: a chunk that is
//! full goes on after its last comma in the next one, if that was not long ago.

/// How many tokens after a comma may move to the next chunk.
const BACKTRACK: usize = 20;

/// What stays together: a token, or the vectors of an embedding.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Item {
    pub(super) ids: Vec<i64>,
    pub(super) weight: f64,
    /// Which embedding it is, if it is one.
    pub(super) embedding: Option<usize>,
}

/// Fills chunks with items, one after the other.
#[derive(Debug)]
pub(super) struct Chunks {
    /// Tokens that a chunk takes.
    capacity: usize,
    comma: Option<i64>,
    full: Vec<Vec<Item>>,
    current: Vec<Item>,
    /// Tokens of the current chunk.
    tokens: usize,
    /// The last comma of the current chunk: the tokens before it, and the items up to and with it.
    last_comma: Option<(usize, usize)>,
}

impl Chunks {
    pub(super) fn new(capacity: usize, comma: Option<i64>) -> Self {
        Self {
            capacity,
            comma,
            full: Vec::new(),
            current: Vec::new(),
            tokens: 0,
            last_comma: None,
        }
    }

    /// Adds an item, which has no more tokens than a chunk takes.
    pub(super) fn push(&mut self, item: Item) {
        let is_comma = self.comma.is_some_and(|comma| item.ids == [comma]);
        if is_comma {
            self.last_comma = Some((self.tokens, self.current.len() + 1));
        } else if self.tokens == self.capacity
            && let Some((before, items)) = self.last_comma
            && self.tokens - before <= BACKTRACK
        {
            let moved = self.current.split_off(items);
            self.next();
            self.tokens = moved.iter().map(|item| item.ids.len()).sum();
            self.current = moved;
        }
        if self.tokens + item.ids.len() > self.capacity {
            self.next();
        }
        self.tokens += item.ids.len();
        self.current.push(item);
    }

    /// Ends the current chunk.
    pub(super) fn next(&mut self) {
        self.full.push(std::mem::take(&mut self.current));
        self.tokens = 0;
        self.last_comma = None;
    }

    /// Whether the current chunk has nothing in it.
    pub(super) fn is_begun(&self) -> bool {
        !self.current.is_empty()
    }

    /// All chunks, at least one.
    pub(super) fn finish(mut self) -> Vec<Vec<Item>> {
        if self.is_begun() || self.full.is_empty() {
            self.next();
        }
        self.full
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const COMMA: i64 = -1;

    fn item(id: i64) -> Item {
        Item {
            ids: vec![id],
            weight: 1.0,
            embedding: None,
        }
    }

    fn chunks(items: impl IntoIterator<Item = Item>) -> Vec<Vec<i64>> {
        let mut chunks = Chunks::new(75, Some(COMMA));
        items.into_iter().for_each(|item| chunks.push(item));
        let ids = |chunk: Vec<Item>| chunk.into_iter().flat_map(|item| item.ids).collect();
        chunks.finish().into_iter().map(ids).collect()
    }

    fn lengths(found: &[Vec<i64>]) -> Vec<usize> {
        found.iter().map(Vec::len).collect()
    }

    #[test]
    fn a_chunk_takes_75_tokens() {
        assert_eq!(lengths(&chunks((0..75).map(item))), [75]);
        assert_eq!(lengths(&chunks((0..151).map(item))), [75, 75, 1]);
        assert_eq!(lengths(&chunks([])), [0]);
    }

    #[test]
    fn words_after_a_late_comma_move_to_the_next_chunk() {
        let with_comma_at = |place: i64| {
            let ids = (0..80).map(move |id| if id == place { COMMA } else { id });
            chunks(ids.map(item))
        };
        assert_eq!(lengths(&with_comma_at(60)), [61, 19]);
        assert_eq!(lengths(&with_comma_at(55)), [56, 24]);
        // 21 tokens ago is too long.
        assert_eq!(lengths(&with_comma_at(54)), [75, 5]);
        // A comma that would begin a chunk begins it.
        assert_eq!(lengths(&with_comma_at(75)), [75, 5]);
        assert_eq!(lengths(&with_comma_at(74)), [75, 5]);
    }

    #[test]
    fn an_embedding_is_not_parted() {
        let embedding = Item {
            ids: vec![100, 101, 102],
            weight: 1.0,
            embedding: Some(0),
        };
        let found = chunks((0..73).map(item).chain([embedding.clone()]));
        assert_eq!(lengths(&found), [73, 3]);
        // Nor when it moves after a comma.
        let items = (0..60).map(item).chain([item(COMMA), embedding]);
        let found = chunks(items.chain((0..15).map(item)));
        assert_eq!(lengths(&found), [61, 18]);
        assert_eq!(found[1][..3], [100, 101, 102]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_nothing_is_too_long(
            lengths in prop::collection::vec((1..9_usize, any::<bool>()), 0..200),
        ) {
            let items = (0_i64..).zip(&lengths).map(|(at, &(length, is_comma))| Item {
                ids: if is_comma { vec![COMMA] } else { vec![at; length] },
                weight: 1.0,
                embedding: None,
            });
            let items: Vec<_> = items.collect();
            let all: Vec<i64> = items.iter().flat_map(|item| item.ids.clone()).collect();
            let found = chunks(items);
            prop_assert!(found.iter().all(|chunk| chunk.len() <= 75));
            prop_assert_eq!(found.concat(), all);
        }
    }
}
