//! What a convolution is, for tests.

use super::Geometry;

/// The convolution by its formula.
pub(super) fn convolved(
    geometry: &Geometry,
    input: &[f32],
    weight: &[f32],
    bias: &[f32],
) -> Vec<f64> {
    let [height, width] = geometry.input;
    let kernel_width = geometry.kernel[1];
    let mut output = Vec::new();
    for place in 0..geometry.pixels() * geometry.channels_out {
        let (plane, pixel) = (place / geometry.plane(), place % geometry.plane());
        let (picture, channel) = (plane / geometry.channels_out, plane % geometry.channels_out);
        let [row, column] = [pixel / geometry.output[1], pixel % geometry.output[1]];
        let mut sum = f64::from(bias[channel]);
        for term in 0..geometry.terms() {
            let (of, position) = (term / geometry.positions(), term % geometry.positions());
            let seen = [
                row + position / kernel_width,
                column + position % kernel_width,
            ];
            let [row, column] = [0, 1].map(|axis| seen[axis].wrapping_sub(geometry.padding[axis]));
            if row < height && column < width {
                let at =
                    (picture * geometry.channels_in + of) * height * width + row * width + column;
                sum += f64::from(input[at]) * f64::from(weight[channel * geometry.terms() + term]);
            }
        }
        output.push(sum);
    }
    output
}

/// A number of -1 to 1 that looks like chance: sums of those that follow a curve would nearly cancel, and show rounding alone.
pub(super) fn number(index: usize) -> f32 {
    let mut bits = u32::try_from(index).expect("a small test");
    for factor in [0x7feb_352d_u32, 0x846c_a68b] {
        bits = (bits ^ bits >> 16).wrapping_mul(factor);
    }
    (bits >> 8) as f32 / (1 << 23) as f32 - 1.0
}
