//! Parquet and JSONL files.

use ::parquet::basic::{Compression, GzipLevel};
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

fn rows(numbers: Range<u32>) -> Vec<Row> {
    numbers.map(Row::whole).collect()
}

#[test]
fn parquet_rows_are_read_in_any_order_from_any_file_and_group() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    fs::create_dir(&data).expect("a folder");
    for (name, numbers) in [
        ("train-00000-of-00002", 0..11),
        ("train-00001-of-00002", 11..17),
        ("test-00000-of-00001", 40..42),
    ] {
        write_parquet(
            &data.join(format!("{name}.parquet")),
            &rows(numbers),
            &Style::default(),
        );
    }
    let train = Folder::open(folder.path(), &FolderOptions::default()).expect("a data set");
    assert_eq!(train.len(), 17);
    for index in (0..17).rev().chain([8, 3, 16, 0]) {
        let record = train.record(index, 5).expect("a record");
        assert_eq!(record.instruction, format!("make it {index}"));
        let expected = gradient(16 + u32::try_from(index).expect("small"), 16);
        assert!(record.input == expected && record.edited == expected);
    }
    assert!(
        train
            .name(12)
            .ends_with("train-00001-of-00002.parquet, row 1"),
        "{}",
        train.name(12)
    );
    let sizes: Vec<_> = train.sizes().collect::<Result<_, _>>().expect("sizes");
    assert!(sizes.iter().map(|size| size.width).eq(16..33));
    let test = Folder::open(
        folder.path(),
        &FolderOptions::default().with_split(Split::Test),
    )
    .expect("a split");
    assert_eq!(
        test.record(1, 0).expect("a record").instruction,
        "make it 41"
    );
    assert_eq!(open(folder.path()).len(), 19);
}

#[test]
fn parquet_is_read_however_it_is_compressed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("all.parquet");
    for compression in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::LZ4_RAW,
    ] {
        write_parquet(
            &path,
            &rows(0..6),
            &Style {
                compression,
                ..Style::default()
            },
        );
        assert_eq!(
            open(&path).record(5, 0).expect("a record").instruction,
            "make it 5"
        );
    }
    let train = FolderOptions::default();
    assert_eq!(
        Folder::open(&path, &train)
            .expect("a split by position")
            .len(),
        5
    );
}

#[test]
fn columns_are_found_by_their_usual_names_or_those_given() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("all.parquet");
    let write = |columns| {
        write_parquet(
            &path,
            &rows(0..2),
            &Style {
                columns,
                ..Style::default()
            },
        );
    };
    for columns in [
        ["input_image", "edit_prompt", "edited_image"],
        ["source_img", "instruction", "target_img"],
    ] {
        write(columns);
        assert!(open(&path).record(1, 0).is_ok(), "{columns:?}");
    }
    write(["before", "how", "after"]);
    let error = refusal(&path, &all());
    assert!(
        error.contains("all.parquet")
            && error.contains("the input picture")
            && error.contains("before, how, after, other"),
        "{error}"
    );
    let named = all()
        .with_original_image_column("before")
        .with_edit_prompt_column("how")
        .with_edited_image_column("after");
    assert!(
        Folder::open(&path, &named)
            .expect("named")
            .record(0, 0)
            .is_ok()
    );
    let error = refusal(&path, &named.clone().with_edit_prompt_column("other"));
    assert!(error.contains("`other` is one of INT64"), "{error}");
    let error = refusal(&path, &named.with_edited_image_column("afterwards"));
    assert!(error.contains("called afterwards"), "{error}");
}

#[test]
fn each_broken_row_is_named_with_what_is_wrong() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("all.parquet");
    let mut all = rows(0..6);
    all[0].input = None;
    all[1].prompt = None;
    all[2].prompt = Some(" \n".to_owned());
    all[3].edited = Some(b"no picture".to_vec());
    all[4].edited = Some(png(&gradient(16, 64).into()));
    write_parquet(&path, &all, &Style::default());
    let data = open(&path);
    for (index, part) in [
        "`original_image` is null",
        "the instruction is null",
        "the instruction is empty",
        "`edited_image` is not a picture",
        "two shapes: the input is 20x16, the edited 16x64",
    ]
    .into_iter()
    .enumerate()
    {
        let reason = reason(&data, index);
        assert!(reason.contains(part), "{index}: {reason}");
        assert!(
            data.name(index)
                .ends_with(&format!("all.parquet, row {index}"))
        );
    }
    assert!(data.record(5, 0).is_ok());
    assert!(
        data.sizes()
            .map(|size| size.is_ok())
            .eq([false, true, true, true, true, true])
    );
}

#[test]
fn a_parquet_file_that_is_cut_off_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("all.parquet");
    write_parquet(&path, &rows(0..6), &Style::default());
    let bytes = fs::read(&path).expect("a file");
    for length in [0, 4, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&path, &bytes[..length]).expect("written");
        let error = refusal(&path, &all());
        assert!(
            error.contains("all.parquet") && error.contains("damaged"),
            "{error}"
        );
    }
}

/// Writes lines and two pictures for them, `0.png` and `1.png`.
fn write_jsonl(folder: &Path, name: &str, lines: &str) {
    let path = folder.join(name);
    let beside = path.parent().expect("a folder");
    fs::create_dir_all(beside.join("pictures")).expect("a folder");
    for number in 0..2 {
        gradient(16 + number, 16)
            .save(beside.join(format!("pictures/{number}.png")))
            .expect("a picture");
    }
    fs::write(path, lines).expect("written");
}

#[test]
fn lines_name_pictures_relative_to_their_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let lines = "\u{feff}{\"input\": \"pictures/0.png\", \"instruction\": \"a\", \"output\": \"pictures/0.png\"}\r\n\n  \n\
        {\"original_image\": \"pictures/1.png\", \"edit_prompt\": \"b\", \"edited_image\": \"pictures/1.png\", \"more\": [1]}\n\
        {\"file_name\": \"pictures/1.png\", \"edit_prompt\": \"c\", \"edited_image_file_name\": \"pictures/1.png\"}";
    write_jsonl(folder.path(), "train/metadata.jsonl", lines);
    write_jsonl(
        folder.path(),
        "validation/metadata.jsonl",
        lines.split('\n').next().expect("a line"),
    );
    let train = Folder::open(folder.path(), &FolderOptions::default()).expect("a split");
    let records: Vec<_> = (0..train.len())
        .map(|index| train.record(index, 0).expect("a record"))
        .collect();
    let said: Vec<_> = records
        .iter()
        .map(|record| (record.instruction.as_str(), record.input.width()))
        .collect();
    assert_eq!(said, [("a", 16), ("b", 17), ("c", 17)]);
    assert!(
        records[1].name.ends_with("metadata.jsonl, line 4"),
        "{}",
        records[1].name
    );
    let widths: Vec<_> = train
        .sizes()
        .map(|size| size.map(|size| size.width))
        .collect();
    assert_eq!(widths, [Ok(16), Ok(17), Ok(17)]);
    assert_eq!(open(folder.path()).len(), 4);
}

#[test]
fn each_broken_line_is_named_with_what_is_wrong() {
    let folder = tempfile::tempdir().expect("a folder");
    let picture = "pictures/0.png";
    let line = |input: &str, instruction: &str, output: &str| {
        format!(
            "{{\"input\": \"{input}\", \"instruction\": \"{instruction}\", \"output\": \"{output}\"}}\n"
        )
    };
    let lines = [
        "{\"input\": \n".to_owned(),
        "[1, 2]\n".to_owned(),
        "{\"instruction\": \"a\"}\n".to_owned(),
        "{\"input\": 3}\n".to_owned(),
        line("gone.png", "a", picture),
        line(picture, "", picture),
        line(picture, &"a".repeat(1 << 20), picture),
        line("pictures", "a", picture),
        line(picture, "a", picture),
    ];
    write_jsonl(folder.path(), "all.jsonl", &lines.concat());
    let data = open(folder.path());
    for (index, part) in [
        "is not a JSON object",
        "is not a JSON object",
        "no field with the input picture: none of input_image, ",
        "`input` is not a text",
        "gone.png cannot be read",
        "the instruction is empty",
        "is longer than",
        "cannot be read",
    ]
    .into_iter()
    .enumerate()
    {
        let reason = reason(&data, index);
        assert!(reason.contains(part), "{index}: {reason}");
        assert!(
            data.name(index)
                .ends_with(&format!("all.jsonl, line {}", index + 1))
        );
    }
    assert!(data.record(8, 0).is_ok());
    let named = all().with_edit_prompt_column("how");
    let named = Folder::open(folder.path(), &named).expect("a data set");
    assert!(reason(&named, 8).contains("none of how"));
}

/// Reads all of a data set that may be damaged: what can be had and what is refused.
fn read_all(path: &Path) {
    if let Ok(data) = Folder::open(path, &all()) {
        for index in (0..data.len()).take(64) {
            let _ = data.name(index);
            let _ = data.record(index, 3);
        }
        assert_eq!(data.sizes().take(64).count(), data.len().min(64));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_in_a_parquet_file_panic(changes in proptest::collection::vec(any::<(Index, u8)>(), 1..12), in_the_footer: bool) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("all.parquet");
        write_parquet(&path, &rows(0..6), &Style { rows_per_group: 3, ..Style::default() });
        let mut bytes = fs::read(&path).expect("a file");
        let footer = u32::from_le_bytes(*bytes[..bytes.len() - 4].last_chunk().expect("a length")) as usize;
        let begin = if in_the_footer { bytes.len() - 8 - footer } else { 0 };
        for (place, value) in changes {
            let length = bytes.len() - begin;
            bytes[begin + place.index(length)] = value;
        }
        fs::write(&path, bytes).expect("written");
        read_all(&path);
    }

    #[test]
    fn no_bytes_in_a_list_panic(bytes: Vec<u8>, cut: Index, value: u8) {
        let folder = tempfile::tempdir().expect("a folder");
        let jsonl = folder.path().join("all.jsonl");
        fs::write(&jsonl, &bytes).expect("written");
        read_all(&jsonl);
        let mut listed = br#"[["0000000", ["1", 2]], ["0000001", [3]]]"#.to_vec();
        let place = cut.index(listed.len());
        listed[place] = value;
        fs::write(folder.path().join("seeds.json"), &listed).expect("written");
        read_all(folder.path());
    }
}
