//! Batches of data sets with broken records.

use std::thread;

use super::*;

/// Twenty records in two shapes, of which three are broken: one in its input, so that it is in no bucket, two in what is met later.
fn write_twenty(folder: &Path) {
    let mut rows: Vec<_> = (0..20).map(Row::whole).collect();
    for (number, row) in rows.iter_mut().enumerate() {
        let size = if number % 2 == 0 { (96, 64) } else { (64, 96) };
        let picture = gradient(size.0, size.1);
        row.edited = Some(png(&picture.clone().into()));
        row.input = Some(png(&picture.into()));
    }
    rows[3].input = Some(b"no picture".to_vec());
    rows[6].prompt = None;
    rows[18].edited = None;
    write_parquet(&folder.join("all.parquet"), &rows, &Style::default());
}

fn loader(folder: &Path, seed: u64, view: View) -> Loader {
    let data = open(folder);
    let plan = Plan::new(&Buckets::new(64, 16).expect("a resolution"), data.sizes());
    Loader::new(data, plan, seed, view)
}

#[test]
fn broken_records_are_replaced_by_others_of_their_shape_named_and_counted_once() {
    let folder = tempfile::tempdir().expect("a folder");
    write_twenty(folder.path());
    let loader = loader(folder.path(), 1, View::TRAINING);
    assert_eq!(loader.broken().len(), 1);
    for batch in loader.plan().steps(1, 4, 0).expect("records").take(15) {
        let examples = loader.load(&batch).expect("a batch");
        assert_eq!(examples.len(), batch.indices.len());
        for (index, example) in batch.indices.iter().zip(&examples) {
            let size = (batch.size.width, batch.size.height);
            assert_eq!(example.input.dimensions(), size);
            assert_eq!(
                example.input, example.edited,
                "both are cropped and mirrored alike"
            );
            let meant = match index {
                6 => 8,
                18 => 0,
                index => *index,
            };
            assert_eq!(example.instruction, format!("make it {meant}"));
        }
    }
    let broken = loader.broken();
    assert!(broken.iter().map(|broken| broken.index).eq([3, 6, 18]));
    assert!(
        broken[1]
            .to_string()
            .ends_with("all.parquet, row 6: the instruction is null"),
        "{}",
        broken[1]
    );
}

#[test]
fn a_run_that_goes_on_sees_what_it_would_have_seen() {
    let folder = tempfile::tempdir().expect("a folder");
    write_twenty(folder.path());
    let seen = |seed, from, count| {
        let loader = loader(folder.path(), seed, View::TRAINING);
        let steps = loader.plan().steps(seed, 3, from).expect("records");
        steps
            .take(count)
            .map(|batch| loader.load(&batch).expect("a batch"))
            .collect::<Vec<_>>()
    };
    let whole = seen(7, 0, 16);
    assert_eq!(whole[9..], seen(7, 9, 7));
    assert_ne!(whole, seen(8, 0, 16));
}

#[test]
fn training_crops_otherwise_in_each_epoch_and_evaluation_does_not() {
    let folder = tempfile::tempdir().expect("a folder");
    write_twenty(folder.path());
    let different = |view| {
        let loader = loader(folder.path(), 2, view);
        let at = |epoch| {
            loader
                .example(0, epoch, Size::new(64, 64))
                .expect("a record")
                .input
        };
        let first = at(0);
        assert_eq!(first, at(0));
        (1..9).filter(|&epoch| at(epoch) != first).count()
    };
    assert!(different(View::Training(Flips::Never)) >= 6);
    assert_eq!(different(View::Evaluation), 0);
}

#[test]
fn training_draws_each_pair_of_a_prompt_and_evaluation_the_first() {
    let folder = tempfile::tempdir().expect("a folder");
    write_original(folder.path(), &[&[0, 4, 8]]);
    // A pair that is broken does not take the others with it.
    fs::remove_file(folder.path().join("0000000/4_1.jpg")).expect("removed");
    let at = |view, epoch| {
        let data = open(folder.path());
        let plan = Plan::square(16, data.len()).expect("a plan");
        Loader::new(data, plan, 5, view).example(0, epoch, Size::new(16, 16))
    };
    let broken = (0..60)
        .filter(|&epoch| at(View::TRAINING, epoch).is_err())
        .count();
    assert!((10..=30).contains(&broken), "{broken} of 60");
    assert!((0..9).all(|epoch| at(View::Evaluation, epoch).is_ok()));
}

#[test]
fn threads_may_share_a_loader() {
    let folder = tempfile::tempdir().expect("a folder");
    write_twenty(folder.path());
    let loader = loader(folder.path(), 4, View::TRAINING);
    let batches = loader.plan().epoch(4, 0, 4).expect("records");
    let alone: Vec<_> = batches
        .iter()
        .map(|batch| loader.load(batch).expect("a batch"))
        .collect();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for (batch, expected) in batches.iter().zip(&alone) {
                    assert_eq!(&loader.load(batch).expect("a batch"), expected);
                }
            });
        }
    });
}

#[test]
fn a_bucket_of_broken_records_alone_is_an_error_that_names_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut rows: Vec<_> = (0..3).map(Row::whole).collect();
    for row in &mut rows {
        row.edited = None;
    }
    write_parquet(&folder.path().join("all.parquet"), &rows, &Style::default());
    let data = open(folder.path());
    let plan = Plan::square(16, data.len()).expect("a plan");
    let loader = Loader::new(data, plan, 0, View::Evaluation);
    let batch = loader.plan().epoch(0, 0, 2).expect("records").remove(0);
    let error = loader.load(&batch).expect_err("none is whole");
    let cause = std::error::Error::source(&error)
        .expect("a cause")
        .to_string();
    assert!(
        cause.contains("all.parquet, row") && cause.contains("`edited_image` is null"),
        "{cause}"
    );
    assert_eq!(loader.broken().len(), 3);
}
