//! Colours as three numbers in `[0, 1]`, of sRGB as it is stored, and the curves that effects are made of.

/// Red, green and blue.
pub(super) type Colour = [f32; 3];

/// Brightness by the weights of Rec. 601.
pub(super) fn luma([r, g, b]: Colour) -> f32 {
    0.299 * r + 0.587 * g + 0.114 * b
}

/// `a` at `t` 0, `b` at `t` 1.
pub(super) fn mix(a: Colour, b: Colour, t: f32) -> Colour {
    std::array::from_fn(|c| a[c] + (b[c] - a[c]) * t)
}

/// The product of each pair of channels.
pub(super) fn times(a: Colour, b: Colour) -> Colour {
    std::array::from_fn(|c| a[c] * b[c])
}

/// Each channel times `factor`.
pub(super) fn scale(colour: Colour, factor: f32) -> Colour {
    colour.map(|c| c * factor)
}

/// The colour with `saturation` of its distance from grey: 0 gives grey, 1 leaves it, more makes it vivid.
pub(super) fn saturate(colour: Colour, saturation: f32) -> Colour {
    mix([luma(colour); 3], colour, saturation)
}

/// 0 up to `low`, 1 from `high`, and a smooth rise between; with `low > high`, a fall.
pub(super) fn smoothstep(low: f32, high: f32, x: f32) -> f32 {
    let t = ((x - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// How much a colour is that of leaves and grass, from 0 to 1: green leads, and blue is least or nearly so.
pub(super) fn leafiness([r, g, b]: Colour) -> f32 {
    smoothstep(0.0, 0.12, (g - b).min(g - 0.88 * r))
}

/// The colour at `t` on a line through stops, each a place and a colour, by rising place.
pub(super) fn gradient(stops: &[(f32, Colour)], t: f32) -> Colour {
    let after = stops.iter().position(|&(place, _)| place >= t);
    match after {
        Some(0) => stops[0].1,
        Some(i) => {
            let ((from, a), (to, b)) = (stops[i - 1], stops[i]);
            mix(a, b, smoothstep(from, to, t))
        }
        None => stops[stops.len() - 1].1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_are_leafy_and_skies_and_skin_are_not() {
        assert!(leafiness([0.3, 0.5, 0.2]) > 0.9);
        assert!(leafiness([0.4, 0.42, 0.2]) > 0.3);
        assert!(leafiness([0.4, 0.6, 0.9]) < 0.01);
        assert!(leafiness([0.8, 0.6, 0.5]) < 0.01);
        assert!(leafiness([0.5, 0.5, 0.5]) < 0.01);
    }

    #[test]
    fn a_gradient_passes_through_its_stops() {
        let stops = [(0.2, [0.0; 3]), (0.6, [1.0, 0.5, 0.0]), (0.8, [1.0; 3])];
        assert_eq!(gradient(&stops, 0.0), [0.0; 3]);
        assert_eq!(gradient(&stops, 0.6), [1.0, 0.5, 0.0]);
        assert_eq!(gradient(&stops, 1.0), [1.0; 3]);
    }
}
