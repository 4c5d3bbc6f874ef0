//! The original repository's layout.

use super::*;

#[test]
fn a_record_is_a_prompt_and_one_of_its_pairs() {
    let folder = tempfile::tempdir().expect("a folder");
    write_original(folder.path(), &[&[3], &[5, 7]]);
    for path in [folder.path().to_owned(), folder.path().join("seeds.json")] {
        let data = open(&path);
        assert_eq!(data.len(), 2);
        let widths = [5, 7, 5].map(|seed| 16 + seed);
        for (pick, width) in (0..).zip(widths) {
            let record = data.record(1, pick).expect("a record");
            assert_eq!(record.instruction, "make it 1");
            assert_eq!(record.input.dimensions(), (width, 16));
            assert_eq!(record.input, record.edited);
            let seed = format!("0000001, seed {}", width - 16);
            assert!(record.name.ends_with(&seed), "{}", record.name);
        }
        let sizes: Vec<_> = data.sizes().collect();
        assert_eq!(sizes, [Ok(Size::new(19, 16)), Ok(Size::new(21, 16))]);
    }
}

#[test]
fn the_splits_follow_one_another() {
    let folder = tempfile::tempdir().expect("a folder");
    write_original(folder.path(), &[&[1u32][..]; 20]);
    let names = |split| {
        let data = Folder::open(folder.path(), &FolderOptions::default().with_split(split))
            .expect("a split");
        (0..data.len())
            .map(|index| data.record(index, 0).expect("a record").instruction)
            .collect::<Vec<_>>()
    };
    let mut parts = names(Split::Train);
    assert_eq!(parts.len(), 18);
    for (split, number) in [(Split::Validation, 18), (Split::Test, 19)] {
        assert_eq!(names(split), [format!("make it {number}")]);
        parts.extend(names(split));
    }
    assert_eq!(parts, names(Split::All));
}

#[test]
fn each_broken_record_is_named_with_what_is_wrong() {
    let folder = tempfile::tempdir().expect("a folder");
    write_original(folder.path(), &[&[1], &[2], &[3], &[4], &[5]]);
    let at = |path: &str| folder.path().join(path);
    fs::remove_file(at("0000000/1_1.jpg")).expect("removed");
    fs::remove_file(at("0000001/prompt.json")).expect("removed");
    fs::write(at("0000002/prompt.json"), r#"{"input": "a"}"#).expect("written");
    fs::write(at("0000003/4_0.jpg"), b"\xFF\xD8\xFF\xE0").expect("written");
    fs::write(at("0000004/5_1.jpg"), jpeg(&gradient(32, 16))).expect("written");
    let listed = r#"[["0000000", [1]], ["0000001", ["2"]], ["0000002", [3]], ["0000003", [4]], ["0000004", [5]],
        ["0000005", []], ["gone", [6]], {"folder": "0000000"}]"#;
    fs::write(at("seeds.json"), listed).expect("written");
    let data = open(folder.path());
    assert_eq!(data.len(), 8);
    for (index, part) in [
        "1_1.jpg cannot be read",
        "prompt.json cannot be read",
        "missing field `edit`",
        "4_0.jpg is a JPEG that is cut off",
        "the input is 21x16, the edited 32x16",
        "has no seeds",
        "prompt.json cannot be read",
        "is not a list of a folder's name and its seeds",
    ]
    .into_iter()
    .enumerate()
    {
        let reason = reason(&data, index);
        assert!(reason.contains(part), "{index}: {reason}");
    }
    assert!(data.name(7).ends_with("seeds.json, entry 7"));
    let found = data.sizes().map(|size| size.is_ok()).collect::<Vec<_>>();
    assert_eq!(found, [true, true, true, false, true, false, false, false]);
}

#[test]
fn a_list_that_is_none_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("seeds.json"), r#"{"a": 1}"#).expect("written");
    let error = refusal(folder.path(), &all());
    assert!(error.contains("[folder, [seed, …]]"), "{error}");
}
