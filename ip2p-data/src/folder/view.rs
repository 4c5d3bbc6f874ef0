//! How a record's pictures are seen together.

/// How far the shapes of two pictures may differ, in parts of the aspect: generators round sides down to multiples of 8.
const TOLERANCE: f64 = 0.02;

/// Refuses pictures of two shapes, since one could not be laid over the other.
pub(super) fn check_shapes(input: (u32, u32), edited: (u32, u32)) -> Result<(), String> {
    let [width, height, edited_width, edited_height] =
        [input.0, input.1, edited.0, edited.1].map(f64::from);
    let aspects = (width * edited_height) / (height * edited_width);
    // One pixel of the smaller picture, of which a side may have been rounded.
    let pixel = 1.0 / width.min(height).min(edited_width).min(edited_height);
    if aspects.ln().abs() <= TOLERANCE.max(pixel) {
        return Ok(());
    }
    Err(format!(
        "the pictures have two shapes: the input is {}x{}, the edited {}x{}",
        input.0, input.1, edited.0, edited.1
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_may_differ_by_rounding_alone() {
        for edited in [(512, 384), (1024, 765), (1000, 750), (4, 3), (13, 10)] {
            assert!(check_shapes((1000, 747), edited).is_ok(), "{edited:?}");
        }
        for edited in [(747, 1000), (512, 512), (1000, 700)] {
            let error = check_shapes((1000, 747), edited).expect_err("another shape");
            assert!(
                error.contains("1000x747") && error.contains(&format!("{}x{}", edited.0, edited.1))
            );
        }
    }
}
