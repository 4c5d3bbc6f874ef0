//! The change of a small picture on a large one, against the guided filter's formulas in numpy: `tests/golden/gen_carry.py`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use ip2p::core::SizeStep;
use ip2p::region::carry;
use ip2p::{FitPolicy, Photo, RgbPicture, Size, TargetSize};
use ip2p_testing::Golden;

fn picture(golden: &Golden, name: &str) -> RgbPicture {
    let shape = golden.shape(name);
    let [height, width] = [0, 1].map(|axis| u32::try_from(shape[axis]).unwrap());
    RgbPicture::new(Size::new(width, height), golden.bytes(name)).unwrap()
}

#[test]
fn a_change_is_carried_by_the_guided_filters_formulas() {
    let golden = Golden::open("images/carry");
    let [photo, before, after] = ["photo", "before", "after"].map(|name| picture(&golden, name));
    let plan = FitPolicy::Contain
        .plan(
            photo.size(),
            TargetSize::Side(64),
            SizeStep::new(8, 1).unwrap(),
        )
        .unwrap();
    assert_eq!(plan.model, before.size());
    let carried = carry(&before, &after, &plan, &Photo::from(photo)).unwrap();
    let expected = golden.bytes("output");
    let pairs = expected.iter().zip(carried.rgb().pixels());
    let apart: Vec<_> = pairs.map(|(a, b)| f32::from(a.abs_diff(*b))).collect();
    // Sums in f32 may fall on the other side of a half: one level, in few places.
    let most = apart.iter().copied().fold(0.0, f32::max);
    let share = apart.iter().filter(|apart| **apart > 0.0).count() as f64 / apart.len() as f64;
    assert!(most <= 1.0 && share < 0.002, "{most}, {share}");
}
