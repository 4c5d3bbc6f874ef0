//! A text in EXIF: the `UserComment` in which AUTOMATIC1111 keeps its parameters, for want of a better place in JPEG
//! and WebP.

use exif::{In, Reader, Tag, Value};

/// What says that a comment is in UTF-16.
const UNICODE: &[u8; 8] = b"UNICODE\0";

/// What says that a comment is ASCII.
const ASCII: &[u8; 8] = b"ASCII\0\0\0";

/// An EXIF block that holds this comment, and nothing else.
///
/// As `piexif.helper.UserComment` writes it: UTF-16, the high byte first whatever the block's order, which is the same
/// here. A block is a TIFF without pictures.
pub(crate) fn user_comment(text: &str) -> Vec<u8> {
    const EXIF_IFD: u16 = 0x8769;
    const USER_COMMENT: u16 = 0x9286;
    const LONG: u16 = 4;
    const UNDEFINED: u16 = 7;
    // A directory of one entry: how many, the entry, and where the next directory is.
    const DIRECTORY: u32 = 2 + 12 + 4;
    const FIRST: u32 = 8;

    let mut comment = UNICODE.to_vec();
    comment.extend(text.encode_utf16().flat_map(u16::to_be_bytes));
    let length = u32::try_from(comment.len()).unwrap_or(u32::MAX);
    let directory = |tag: u16, kind: u16, count: u32, value: u32| {
        let mut bytes = 1_u16.to_be_bytes().to_vec();
        bytes.extend(tag.to_be_bytes());
        bytes.extend(kind.to_be_bytes());
        bytes.extend(count.to_be_bytes());
        bytes.extend(value.to_be_bytes());
        bytes.extend(0_u32.to_be_bytes());
        bytes
    };
    let mut block = b"MM\0\x2A".to_vec();
    block.extend(FIRST.to_be_bytes());
    block.extend(directory(EXIF_IFD, LONG, 1, FIRST + DIRECTORY));
    block.extend(directory(
        USER_COMMENT,
        UNDEFINED,
        length,
        FIRST + 2 * DIRECTORY,
    ));
    block.extend(comment);
    block
}

/// The comment of an EXIF block, if it has one that can be read.
pub(crate) fn parse_user_comment(block: &[u8]) -> Option<String> {
    // Some WebP files have a JPEG's prefix here.
    let block = block.strip_prefix(b"Exif\0\0").unwrap_or(block);
    let exif = Reader::new().read_raw(block.to_vec()).ok()?;
    let field = exif.get_field(Tag::UserComment, In::PRIMARY)?;
    // Pillow says bytes where the standard says undefined.
    let (Value::Undefined(comment, _) | Value::Byte(comment)) = &field.value else {
        return None;
    };
    let (kind, text) = comment.split_first_chunk()?;
    if kind == UNICODE {
        Some(utf16(text))
    } else if kind == ASCII || kind.iter().all(|&byte| byte == 0) {
        let text = String::from_utf8_lossy(text);
        Some(text.trim_end_matches('\0').to_owned())
    } else {
        None
    }
}

/// The standard does not say which byte comes first, and tools differ: in most texts the zeros tell.
fn utf16(bytes: &[u8]) -> String {
    let zeros = |at: usize| {
        bytes
            .iter()
            .skip(at)
            .step_by(2)
            .filter(|&&byte| byte == 0)
            .count()
    };
    let little = bytes.starts_with(&[0xFF, 0xFE]) || zeros(1) > zeros(0);
    let units = bytes.chunks_exact(2).map(|pair| {
        let pair = [pair[0], pair[1]];
        if little {
            u16::from_le_bytes(pair)
        } else {
            u16::from_be_bytes(pair)
        }
    });
    let text: String = char::decode_utf16(units)
        .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect();
    text.trim_start_matches('\u{FEFF}').to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn comments_of_other_tools_are_read() {
        let with = |comment: &[u8]| {
            let mut block = user_comment("");
            let length = u32::try_from(comment.len()).unwrap();
            block.truncate(44);
            block[32..36].copy_from_slice(&length.to_be_bytes());
            block.extend(comment);
            parse_user_comment(&block)
        };
        assert_eq!(with(b"ASCII\0\0\0plain\0"), Some("plain".into()));
        assert_eq!(with(b"\0\0\0\0\0\0\0\0plain"), Some("plain".into()));
        assert_eq!(with(b"UNICODE\0p\0l\0"), Some("pl".into()));
        assert_eq!(with(b"UNICODE\0\xFF\xFE\x7D\x59"), Some("好".into()));
        assert_eq!(with(b"JIS\0\0\0\0\0abc"), None);
    }

    #[test]
    fn what_is_cut_off_is_no_comment() {
        let block = user_comment("make it snowy");
        for length in 0..block.len() {
            assert_eq!(parse_user_comment(&block[..length]), None, "{length} bytes");
        }
    }

    proptest! {
        #[test]
        fn a_comment_comes_back(text in "[ -~]{1,20}\\PC{0,20}") {
            prop_assert_eq!(parse_user_comment(&user_comment(&text)), Some(text));
        }

        #[test]
        fn no_block_is_too_strange(at in 0..70_usize, byte: u8, junk in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut block = user_comment("make it snowy");
            block[at] = byte;
            let _ = parse_user_comment(&block);
            let _ = parse_user_comment(&junk);
        }
    }
}
