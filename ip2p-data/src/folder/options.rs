//! What of a data set is wanted, and how its columns are named.

use std::fmt;
use std::ops::Range;

/// Which records of a data set.
///
/// Where files are named after splits (`train-00000-of-00002.parquet`, `test.jsonl`, `validation/metadata.jsonl`), the names
/// tell; a file among them that is named after none belongs to [`Train`](Self::Train). Where no name tells, and in the original
/// layout, it is the position, by the original repository's rule: the first 90 % are for training, the next 5 % for validation, the last 5 % for
/// testing (`edit_dataset.py:37-45` at `0dffd1e`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Split {
    /// Those to learn from: the default.
    #[default]
    Train,
    /// Those to watch while learning.
    Validation,
    /// Those to measure on at the end.
    Test,
    /// All of them.
    All,
}

impl Split {
    /// The positions that belong to the split where there are `len` records in all.
    pub(super) fn range(self, len: usize) -> Range<usize> {
        const TRAIN: f64 = 0.9;
        const VALIDATION: f64 = TRAIN + 0.05;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a part of `len`, which is far below 2^53"
        )]
        let part = |fraction: f64| (fraction * len as f64).floor() as usize;
        match self {
            Self::Train => 0..part(TRAIN),
            Self::Validation => part(TRAIN)..part(VALIDATION),
            Self::Test => part(VALIDATION)..len,
            Self::All => 0..len,
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
            Self::All => "all",
        })
    }
}

/// What of a data set is wanted, and how its columns are named.
///
/// The columns of parquet files and the fields of JSONL are called after those of `train_instruct_pix2pix.py`. One that is not named here is
/// the first that there is of the names in use:
///
/// - input: `input_image`, `original_image`, `source_image`, `source_img`, `input`;
/// - instruction: `edit_prompt`, `instruction`, `edit_instruction`, `edit`;
/// - edited: `edited_image`, `target_image`, `output_image`, `target_img`, `edited`, `output`.
///
/// In JSONL also each of those with `_file_name` behind it, and `file_name` for the input.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FolderOptions {
    pub(super) split: Split,
    original_image: Option<String>,
    edit_prompt: Option<String>,
    edited_image: Option<String>,
}

impl FolderOptions {
    /// The records of this split; by default those for training.
    #[must_use]
    pub fn with_split(mut self, split: Split) -> Self {
        self.split = split;
        self
    }

    /// The column of the picture before.
    #[must_use]
    pub fn with_original_image_column(mut self, name: impl Into<String>) -> Self {
        self.original_image = Some(name.into());
        self
    }

    /// The column of the instruction.
    #[must_use]
    pub fn with_edit_prompt_column(mut self, name: impl Into<String>) -> Self {
        self.edit_prompt = Some(name.into());
        self
    }

    /// The column of the picture after.
    #[must_use]
    pub fn with_edited_image_column(mut self, name: impl Into<String>) -> Self {
        self.edited_image = Some(name.into());
        self
    }

    /// The names that the column of this role may have, best first.
    pub(super) fn names(&self, role: Role) -> Vec<&str> {
        let named = match role {
            Role::Input => &self.original_image,
            Role::Instruction => &self.edit_prompt,
            Role::Edited => &self.edited_image,
        };
        match named {
            Some(name) => vec![name],
            None => role.names().to_vec(),
        }
    }
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Input,
    Instruction,
    Edited,
}

impl Role {
    /// In words, for messages.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::Input => "the input picture",
            Self::Instruction => "the instruction",
            Self::Edited => "the edited picture",
        }
    }

    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Input => &[
                "input_image",
                "original_image",
                "source_image",
                "source_img",
                "input",
            ],
            Self::Instruction => &["edit_prompt", "instruction", "edit_instruction", "edit"],
            Self::Edited => &[
                "edited_image",
                "target_image",
                "output_image",
                "target_img",
                "edited",
                "output",
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_splits_part_the_records_as_the_original_does() {
        // math.floor(0.9 * n), math.floor((0.9 + 0.05) * n) in Python
        for (len, train, validation) in [
            (1, 0, 0),
            (10, 9, 9),
            (20, 18, 19),
            (1000, 900, 950),
            (313_010, 281_709, 297_359),
        ] {
            assert_eq!(Split::Train.range(len), 0..train);
            assert_eq!(Split::Validation.range(len), train..validation);
            assert_eq!(Split::Test.range(len), validation..len);
            assert_eq!(Split::All.range(len), 0..len);
        }
    }
}
