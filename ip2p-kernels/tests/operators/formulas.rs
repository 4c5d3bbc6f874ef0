//! Each operator, composed and fast, against its formula in `f64`.

use crate::reference::{self, error, numbers, random};
use burn::tensor::ops::{ConvOptions, InterpolateMode, InterpolateOptions};
use burn::tensor::quantization::{QuantScheme, QuantStore, ScaleDtype};
use burn::tensor::{DType, Device, FloatDType, Tensor, module};
use ip2p_kernels::{
    Activation, attention, conv2d, geglu, gelu, group_norm, layer_norm, linear, linear_geglu,
    linear_turned, plain, pointwise, pointwise_turned, quantize, quantize_pointwise,
    quantized_attention, quick_gelu, silu, upsample_conv2d,
};
use proptest::prelude::*;

fn assert_close(name: &str, actual: &[f64], expected: &[f64], tolerance: f64) {
    let error = error(actual, expected);
    assert!(error <= tolerance, "{name}: off by {error:e}");
}

#[test]
fn activations_are_their_formulas() {
    // More than one task, and a rest that fills no vector.
    let x = random([40_003], 1);
    let check = |name: &str, of: fn(Tensor<1>) -> Tensor<1>, formula: fn(f64) -> f64| {
        let expected: Vec<f64> = numbers(x.clone()).into_iter().map(formula).collect();
        assert_close(name, &numbers(of(x.clone())), &expected, 6e-7);
        // Nobody else holds this one, so that it is overwritten.
        assert_close(name, &numbers(of(x.clone() * 1.0)), &expected, 6e-7);
    };
    let quick = |x: f64| x / (1.0 + (-1.702 * x).exp());
    check("silu", silu, reference::silu);
    check("plain silu", plain::silu, reference::silu);
    check("gelu", gelu, reference::gelu);
    check("plain gelu", plain::gelu, reference::gelu);
    check("quick_gelu", quick_gelu, quick);
    check("plain quick_gelu", plain::quick_gelu, quick);
}

#[test]
fn activations_keep_nan_and_saturate() {
    let x = || Tensor::<1>::from_data([f32::NAN, 200.0, -200.0, 0.0], &Device::flex());
    for (name, actual) in [
        ("silu", silu(x())),
        ("gelu", gelu(x())),
        ("quick_gelu", quick_gelu(x())),
    ] {
        assert_close(name, &numbers(actual), &[f64::NAN, 200.0, 0.0, 0.0], 1e-30);
    }
}

#[test]
fn a_tensor_that_is_still_held_is_not_overwritten() {
    let x = random([3, 4, 5, 6], 2);
    let before = numbers(x.clone());
    let ones = Tensor::ones([4], &x.device());
    let _ = silu(x.clone());
    let _ = group_norm(x.clone(), 2, ones.clone(), ones, 1e-5, Activation::Silu);
    assert_eq!(numbers(x), before);
}

#[test]
fn a_part_of_a_tensor_is_seen_as_that_part() {
    let x = random([2, 6, 5, 7], 3);
    let part = x.narrow(1, 2, 4);
    let permuted = part.clone().permute([0, 2, 3, 1]);
    let expected =
        |x: Tensor<4>| -> Vec<f64> { numbers(x).into_iter().map(reference::silu).collect() };
    assert_close(
        "part",
        &numbers(silu(part.clone())),
        &expected(part.clone()),
        1e-6,
    );
    assert_close(
        "permuted",
        &numbers(silu(permuted.clone())),
        &expected(permuted),
        1e-6,
    );
    let whole = (part * 1.0).permute([0, 2, 3, 1]);
    assert_close(
        "axes in another order",
        &numbers(silu(whole.clone())),
        &expected(whole),
        1e-6,
    );
}

#[test]
#[should_panic(expected = "geglu needs an even last axis, got 3")]
fn geglu_of_an_odd_axis_panics() {
    let _ = geglu(random([1, 1, 3], 4));
}

#[test]
#[should_panic(expected = "cannot divide 6 channels into 4 groups")]
fn group_norm_of_uneven_groups_panics() {
    let ones = Tensor::ones([6], &Device::flex());
    let _ = group_norm(
        random([1, 6, 2, 2], 5),
        4,
        ones.clone(),
        ones,
        1e-5,
        Activation::None,
    );
}

#[test]
#[should_panic(expected = "cannot have keys [1, 2, 3, 5]")]
fn attention_of_shapes_that_do_not_fit_panics() {
    let [q, k] = [random([1, 2, 3, 4], 1), random([1, 2, 3, 5], 2)];
    let _ = attention(q, k.clone(), k, 1.0, false);
}

#[test]
fn group_norm_of_a_large_mean_keeps_its_digits() {
    // Strips of 4096 numbers, whose means are far from zero and from each other.
    let x = random([1, 2, 100, 100], 6) + 1000.0;
    let slope = random([1, 1, 100, 1], 7)
        .repeat_dim(1, 2)
        .repeat_dim(3, 100);
    let x = x + slope * 10.0;
    let [weight, bias] = [random([2], 8), random([2], 9)];
    let expected = reference::group_norm(
        &numbers(x.clone()),
        10_000,
        1,
        [&numbers(weight.clone()), &numbers(bias.clone())],
        1e-5,
    );
    let actual = group_norm(x, 1, weight, bias, 1e-5, Activation::None);
    // The numbers themselves have an ulp of 6e-5 here, over a deviation of 20.
    assert_close("group_norm", &numbers(actual), &expected, 3e-5);
}

#[test]
fn half_inputs_are_computed_in_f32_and_rounded_once() {
    let same = |name: &str, dtype, half: Tensor<4>, whole: Tensor<4>| {
        assert_eq!(half.dtype(), DType::from(dtype), "{name}");
        assert_eq!(numbers(half), numbers(whole.cast(dtype)), "{name}");
    };
    for dtype in [FloatDType::F16, FloatDType::BF16] {
        let x = random([2, 4, 9, 8], 10).cast(dtype);
        let wide = x.clone().cast(FloatDType::F32);
        let ones = Tensor::<1>::ones([4], &x.device());
        same("silu", dtype, silu(x.clone()), silu(wide.clone()));
        let norm = |x| group_norm(x, 2, ones.clone(), ones.clone(), 1e-5, Activation::Silu);
        same("group_norm", dtype, norm(x.clone()), norm(wide.clone()));
        // Keys and values of bf16 ask for products in bf16.
        if dtype == FloatDType::F16 {
            let attend = |x: Tensor<4>| attention(x.clone(), x.clone(), x, 0.3, false);
            same("attention", dtype, attend(x.clone()), attend(wide));
        }
    }
}

#[test]
fn the_result_of_attention_is_laid_out_a_token_a_row() {
    let of = |tokens, seed| random([2, tokens, 3, 8], seed).swap_dims(1, 2);
    let merged = attention(of(50, 1), of(77, 2), of(77, 3), 0.3, false).swap_dims(1, 2);
    let flat = merged.clone().reshape([2, 50, 24]);
    assert_eq!(numbers(merged), numbers(flat));
}

#[test]
fn convolutions_of_the_networks_are_those_of_burn() {
    // Several tasks in pixels and in channels, several blocks of terms, panels across pictures; halved with uneven padding; tiles.
    let cases = [
        ([2, 20, 40, 130], 24, 3, 1, [(1, 1), (1, 1)]),
        ([3, 40, 20, 20], 24, 3, 1, [(1, 1), (1, 1)]),
        ([2, 300, 8, 8], 330, 3, 1, [(1, 1), (1, 1)]),
        ([2, 70, 9, 11], 33, 3, 2, [(0, 1), (0, 1)]),
        ([1, 8, 64, 64], 4, 1, 1, [(0, 0), (0, 0)]),
    ];
    for (index, (shape, channels_out, kernel, stride, padding)) in cases.into_iter().enumerate() {
        let x = random(shape, 20);
        let weight = random([channels_out, shape[1], kernel, kernel], 21);
        let bias = Some(random([channels_out], 22));
        let options = ConvOptions::new_with_padding([stride, stride], padding, [1, 1], 1);
        let expected = module::conv2d(x.clone(), weight.clone(), bias.clone(), options.clone());
        let error = error(
            &numbers(conv2d(x, weight, bias, options)),
            &numbers(expected),
        );
        assert!(error < 5e-3, "case {index}: off by {error:e}");
    }
}

#[test]
fn a_convolution_of_a_doubled_picture_is_made_from_the_small_one() {
    // Tiles with several channels at a time, an odd number of channels; pictures so small that nothing is gained.
    for (shape, channels_out) in [
        ([1, 24, 40, 70], 24),
        ([2, 40, 5, 3], 17),
        ([1, 7, 40, 33], 5),
        ([1, 4, 1, 1], 8),
    ] {
        let [_, channels, height, width] = shape;
        let x = random(shape, 30);
        let weight = random([channels_out, channels, 3, 3], 31);
        let bias = Some(random([channels_out], 32));
        let doubled = InterpolateOptions::new(InterpolateMode::Nearest)
            .with_output_size([2 * height, 2 * width]);
        let doubled = module::interpolate(x.clone(), doubled);
        let options = ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
        let expected = module::conv2d(doubled, weight.clone(), bias.clone(), options);
        let expected = numbers(expected);
        let plain = numbers(upsample_conv2d(x.clone(), weight.clone(), bias.clone()));
        let off = error(&plain, &expected);
        assert!(off < 5e-3, "{shape:?}: off by {off:e}");
        let largest = error(&expected, &vec![0.0; expected.len()]);
        // Sums of two and of four weights are rounded to `bf16`, which has 8 digits.
        let halves = weight.cast(FloatDType::BF16);
        let off = error(&numbers(upsample_conv2d(x, halves, bias)), &expected);
        assert!(
            off < 0.01 * largest,
            "{shape:?}, bf16: off by {off:e} of {largest}"
        );
    }
}

#[test]
fn attention_of_large_scores_does_not_overflow() {
    let [q, k, v] = [1, 2, 3].map(|seed| random([1, 1, 200, 16], seed));
    let flat = [&q, &k, &v].map(|x| numbers(x.clone()));
    let expected = reference::attention([&flat[0], &flat[1], &flat[2]], 16, 50.0, false);
    assert_close(
        "attention",
        &numbers(attention(q, k, v, 50.0, false)),
        &expected,
        2e-3,
    );
}

/// Sizes of a head: those of the networks, and any.
fn head_dim() -> impl Strategy<Value = usize> {
    prop_oneof![Just(40), Just(64), Just(80), 1_usize..24]
}

/// The numbers of a tensor rounded to `bf16`.
fn rounded<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    x.cast(FloatDType::BF16).cast(FloatDType::F32)
}

#[test]
fn layers_with_weights_of_bf16_multiply_rounded_numbers_and_sum_up_in_f32() {
    let bf16 = |x: Tensor<4>| x.cast(FloatDType::BF16);
    // An odd count of terms too, which has no pairs.
    for channels in [40, 3] {
        let [x, weight] = [
            random([2, channels, 9, 31], 1),
            random([21, channels, 3, 3], 2),
        ];
        let bias = random([21], 3);
        let options = ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
        let found = conv2d(
            x.clone(),
            bf16(weight.clone()),
            Some(bias.clone()),
            options.clone(),
        );
        assert_eq!(found.dtype(), x.dtype());
        let x = if channels == 3 { x } else { rounded(x) };
        let expected = module::conv2d(x, rounded(weight), Some(bias), options);
        assert_close("conv2d", &numbers(found), &numbers(expected), 2e-3);
    }
    for width in [300, 7] {
        let [x, weight] = [random([3, 70, width], 4), random([1, width, 53], 5)];
        let weight: Tensor<2> = weight.squeeze_dim(0);
        let bias = random([53], 6);
        let found = linear(
            x.clone(),
            weight.clone().cast(FloatDType::BF16),
            Some(bias.clone()),
        );
        assert_eq!(found.dtype(), x.dtype());
        let x = if width == 7 { x } else { rounded(x) };
        let expected = module::linear(x.clone(), rounded(weight.clone()), Some(bias.clone()));
        let expected = numbers(expected);
        assert_close("linear", &numbers(found), &expected, 2e-3);
        let first: Tensor<1> = x.flatten::<1>(0, 2).narrow(0, 0, width);
        let of_one = linear(first, weight.cast(FloatDType::BF16), Some(bias));
        assert_close("linear", &numbers(of_one), &expected[..53], 2e-3);
    }
}

/// What an operator gives is, up to `part` of its largest number, what it was to give.
fn assert_near(name: &str, found: &[f64], expected: &[f64], part: f64) {
    let largest = expected.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
    assert_close(name, found, expected, part * largest);
}

#[test]
fn linear_layers_of_whole_numbers_are_those_of_their_numbers() {
    // One pass over the terms and several.
    for width in [48, 1280] {
        let [x, weight] = [random([3, 70, width], 1), random([1, width, 54], 2)];
        let weight = quantize(weight.squeeze_dim::<2>(0));
        assert!(matches!(weight.dtype(), DType::QFloat(_)));
        let (exact, bias) = (weight.clone().dequantize(), random([54], 3));
        let found = linear(x.clone(), weight.clone(), Some(bias.clone()));
        assert_eq!(found.dtype(), x.dtype());
        let expected = module::linear(x.clone(), exact, Some(bias.clone()));
        assert_near("linear", &numbers(found.clone()), &numbers(expected), 0.01);
        let gated = linear_geglu(x, weight, Some(bias));
        assert_eq!(numbers(gated), numbers(geglu(found)), "{width} terms");
    }
}

#[test]
fn convolutions_of_whole_numbers_are_those_of_their_numbers() {
    // Many tiles and few, too few for minimal filtering, kernels of one pixel.
    for (size, kernel) in [([40, 60], 3), ([9, 12], 3), ([2, 3], 3), ([9, 12], 1)] {
        let [height, width] = size;
        let x = random([2, 128, height, width], 1);
        let weight = quantize(random([136, 128, kernel, kernel], 2));
        assert!(matches!(weight.dtype(), DType::QFloat(_)));
        let (exact, bias) = (weight.clone().dequantize(), random([136], 3));
        let options = ConvOptions::new([1; 2], [kernel / 2; 2], [1; 2], 1);
        let found = conv2d(
            x.clone(),
            weight.clone(),
            Some(bias.clone()),
            options.clone(),
        );
        let expected = module::conv2d(x.clone(), exact.clone(), Some(bias.clone()), options);
        let name = format!("conv2d of {size:?}");
        assert_near(&name, &numbers(found), &numbers(expected), 0.02);
        if kernel == 3 {
            let found = upsample_conv2d(x.clone(), weight, Some(bias.clone()));
            let expected = upsample_conv2d(x, exact, Some(bias));
            assert_near("upsample_conv2d", &numbers(found), &numbers(expected), 0.02);
        }
    }
}

#[test]
fn an_input_or_output_with_swapped_axes_is_moved_and_no_more() {
    // Whole vectors of tokens and not, one picture and several.
    for (batch, tokens) in [(2, 48), (1, 400), (2, 30)] {
        let [x, matrix] = [random([batch, tokens, 64], 1), random([1, 64, 40], 2)];
        let bias: Tensor<1> = random([1, 1, 40], 3).reshape([40]);
        let picture = (x.clone().swap_dims(1, 2)).reshape([batch, 64 * tokens]); // in its own memory
        let swapped = (picture.reshape([batch, 64, tokens])).swap_dims(1, 2);
        let kernels: Tensor<4> = (matrix.clone().swap_dims(1, 2)).reshape([40, 64, 1, 1]);
        let narrow = matrix.squeeze_dim::<2>(0).cast(FloatDType::BF16);
        for weight in [narrow.clone(), quantize(narrow.dequantize())] {
            let expected = linear(x.clone(), weight.clone(), Some(bias.clone()));
            let found = linear(swapped.clone(), weight.clone(), Some(bias.clone()));
            assert_eq!(numbers(found), numbers(expected.clone()));
            let found = linear_turned(x.clone(), weight, Some(bias.clone()));
            assert_eq!(found.dims(), [batch, 40, tokens]);
            assert_eq!(numbers(found), numbers(expected.swap_dims(1, 2)));
        }
        let kernels = [
            kernels.clone().cast(FloatDType::BF16),
            quantize_pointwise(kernels),
        ];
        for weight in kernels {
            let expected = pointwise(x.clone(), weight.clone(), Some(bias.clone()));
            let found = pointwise(swapped.clone(), weight.clone(), Some(bias.clone()));
            assert_eq!(numbers(found), numbers(expected.clone()));
            let found = pointwise_turned(x.clone(), weight, Some(bias.clone()));
            assert_eq!(numbers(found), numbers(expected.swap_dims(1, 2)));
        }
    }
}

#[test]
fn kernels_of_one_pixel_project_tokens_in_whole_numbers_and_not() {
    let [x, bias] = [random([2, 30, 64], 1), random([1, 1, 40], 2)];
    let weight = random([40, 64, 1, 1], 3);
    let bias: Tensor<1> = bias.reshape([40]);
    for weight in [weight.clone(), quantize_pointwise(weight)] {
        let exact = weight.clone().dequantize();
        let found = pointwise(x.clone(), weight, Some(bias.clone()));
        let expected = module::linear(
            x.clone(),
            exact.flatten::<2>(1, 3).transpose(),
            Some(bias.clone()),
        );
        assert_near("pointwise", &numbers(found), &numbers(expected), 0.01);
    }
}

#[test]
fn weights_of_schemes_of_others_are_what_burn_says_they_are() {
    // One scale for all, and one for each row of a matrix or each few numbers of a kernel.
    let schemes = [
        QuantScheme::default().per_tensor(ScaleDtype::F32),
        QuantScheme::default().per_block([4], ScaleDtype::F32),
    ];
    for scheme in schemes {
        let scheme = scheme.with_store(QuantStore::Native);
        let x = random([2, 16, 6, 8], 1);
        for height in [4, 1] {
            let weight = random([12, 16, height, 4], 2).quantize_dynamic(&scheme);
            let options = ConvOptions::new([1; 2], [0; 2], [1; 2], 1);
            let found = conv2d(x.clone(), weight.clone(), None, options.clone());
            let expected = module::conv2d(x.clone(), weight.dequantize(), None, options);
            assert_near("conv2d", &numbers(found), &numbers(expected), 1e-5);
        }
        let weight: Tensor<2> = random([1, 8, 12], 3).squeeze_dim::<2>(0);
        let weight = weight.quantize_dynamic(&scheme);
        let found = linear(x.clone(), weight.clone(), None);
        let expected = module::linear(x, weight.dequantize(), None);
        assert_near("linear", &numbers(found), &numbers(expected), 1e-5);
    }
}

#[test]
fn weights_that_have_no_scheme_stay_what_they_are() {
    for weight in [
        random([7, 15, 3, 3], 1),
        random([7, 24, 3, 3], 1),
        random([7, 32, 5, 5], 1),
    ] {
        assert_eq!(
            quantize(weight.clone()).dtype(),
            weight.dtype(),
            "{:?}",
            weight.dims()
        );
    }
}

#[test]
fn a_gated_linear_layer_is_the_two_operators() {
    for (width, hidden) in [(20, 30), (7, 16)] {
        let [x, weight] = [random([2, 9, width], 1), random([1, width, 2 * hidden], 2)];
        let weight: Tensor<2> = weight.squeeze_dim(0);
        let bias = random([2 * hidden], 3);
        for dtype in [FloatDType::F32, FloatDType::BF16] {
            let weight = weight.clone().cast(dtype);
            let found = linear_geglu(x.clone(), weight.clone(), Some(bias.clone()));
            assert_eq!(found.dims(), [2, 9, hidden]);
            let expected = geglu(linear(x.clone(), weight, Some(bias.clone())));
            assert_eq!(numbers(found), numbers(expected), "{dtype:?}");
        }
    }
}

#[test]
fn attention_of_no_queries_or_values_is_empty() {
    let of = |tokens, dim| random([2, tokens, 3, dim], 1).swap_dims(1, 2);
    let k = of(5, 4);
    assert_eq!(
        attention(of(0, 4), k.clone(), of(5, 4), 1.0, false).dims(),
        [2, 3, 0, 4]
    );
    assert_eq!(
        attention(of(6, 4), k, of(5, 0), 1.0, false).dims(),
        [2, 3, 6, 0]
    );
}

#[test]
fn attention_to_keys_and_values_of_bf16_is_that_to_the_rounded_ones() {
    let of = |tokens, seed| random([2, tokens, 3, 24], seed).swap_dims(1, 2);
    // Fewer queries than a tile's width and more; an odd count of keys.
    for (queries, keys) in [(9, 77), (131, 64)] {
        let [q, k, v] = [of(queries, 1), of(keys, 2), of(keys, 3)];
        let half = |x: &Tensor<4>| x.clone().cast(FloatDType::BF16);
        let found = attention(q.clone(), half(&k), half(&v), 0.2, false);
        assert_eq!(found.dtype(), q.dtype());
        // The queries are rounded in the unit of the powers of 2 that are taken.
        let unit = 0.2 * std::f64::consts::LOG2_E;
        let q = rounded(q * unit) / unit;
        let expected = plain::attention(q, rounded(k), rounded(v), 0.2, false);
        // The weights are rounded too: by up to 2^-8 of themselves, 0.66 % where they come of a table. No value is above 4, so that a
        // result moves by four times that at the very most, and here by less.
        assert_close("attention", &numbers(found), &numbers(expected), 1e-2);
    }
}

#[test]
fn quantized_attention_is_that_of_whole_numbers() {
    // Each row in 127 steps either way.
    let step = |x: &Tensor<4>| x.clone().abs().max_dim(3).clamp_min(f32::MIN_POSITIVE) / 127.0;
    let whole = |x: Tensor<4>| {
        let step = step(&x);
        (x / step.clone()).round() * step
    };
    // No number is in the middle between two steps, where which one is nearer hangs on the last digit.
    let of = |tokens, seed| {
        let x = random([2, tokens, 3, 24], seed);
        let near = whole(x.clone());
        near.clone() + (x - near) * 0.8
    };
    for (queries, keys) in [(9, 577), (131, 512)] {
        let q = of(queries, 1).swap_dims(1, 2);
        // Without what all keys share their mean is 0, so that what is rounded are these numbers.
        let half = of(keys / 2, 2);
        let mut k = vec![half.clone(), -half];
        if keys % 2 == 1 {
            k.push(Tensor::zeros([2, 1, 3, 24], &Device::default()));
        }
        let k = Tensor::cat(k, 1).swap_dims(1, 2);
        let shared = random([2, 3, 1, 24], 4);
        let v = random([2, keys, 3, 24], 3).swap_dims(1, 2);
        let half = v.clone().cast(FloatDType::BF16);
        let found = quantized_attention(q.clone(), k.clone() + shared, half, 0.2);
        let attend = |v| {
            numbers(plain::attention(
                whole(q.clone()),
                whole(k.clone()),
                v,
                0.2,
                false,
            ))
        };
        let v = rounded(v);
        let (expected, squares) = (attend(v.clone()), attend(v.clone() * v));
        // Each weight is rounded to `bf16` and up to 0.7 % off, which moves a mean by so much of the deviation from it at most.
        for ((found, expected), square) in numbers(found).into_iter().zip(expected).zip(squares) {
            let deviation = (square - expected * expected).max(0.0).sqrt();
            let difference = (found - expected).abs();
            assert!(
                difference <= 0.007 * deviation + 1e-4,
                "off by {difference:e}, where values deviate by {deviation}"
            );
        }
    }
}

#[test]
fn what_all_keys_share_costs_quantized_attention_nothing() {
    let of = |tokens, seed| random([1, tokens, 2, 16], seed).swap_dims(1, 2);
    let [q, k, v] = [of(40, 1), of(520, 2), of(520, 3).cast(FloatDType::BF16)];
    // Beside what they share, up to 80, keys of up to 4 would have a step of 0.6.
    let shared = random([1, 2, 1, 16], 4) * 20.0;
    let found = quantized_attention(q.clone(), k.clone() + shared, v.clone(), 0.25);
    let expected = quantized_attention(q, k, v, 0.25);
    assert_close("attention", &numbers(found), &numbers(expected), 1e-2);
}

#[test]
fn quantized_attention_to_few_keys_or_wide_values_is_attention() {
    let of = |tokens, seed| random([1, tokens, 2, 16], seed).swap_dims(1, 2);
    let q = of(40, 1);
    for (keys, dtype) in [
        (70, FloatDType::F32),
        (70, FloatDType::BF16),
        (600, FloatDType::F32),
    ] {
        let (k, v) = (of(keys, 2), of(keys, 3).cast(dtype));
        let found = quantized_attention(q.clone(), k.clone(), v.clone(), 0.25);
        let expected = attention(q.clone(), k.cast(dtype), v, 0.25, false);
        assert_eq!(numbers(found), numbers(expected), "{keys} {dtype:?}");
    }
}

#[test]
fn quantized_attention_of_zeros_is_the_mean_of_the_values() {
    let of = |tokens, seed| random([1, 1, tokens, 8], seed);
    let v = of(600, 1).cast(FloatDType::BF16);
    let mean = v.clone().cast(FloatDType::F32).mean_dim(2).repeat_dim(2, 3);
    // Queries so small that the inverse of their scale overflows are zeros too.
    for (queries, keys) in [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1e-39, 1.0)] {
        let found = quantized_attention(of(3, 2) * queries, of(600, 3) * keys, v.clone(), 1.0);
        assert_close("attention", &numbers(found), &numbers(mean.clone()), 1e-2);
    }
}

#[test]
fn a_query_of_zeros_changes_no_other_in_quantized_attention() {
    let of = |tokens, seed| random([1, 1, tokens, 8], seed);
    let (q, k, v) = (of(5, 1), of(600, 2), of(600, 3).cast(FloatDType::BF16));
    let zeros = Tensor::zeros([1, 1, 2, 8], &Device::flex());
    let both = Tensor::cat(vec![zeros, q.clone()], 2);
    let found = quantized_attention(both, k.clone(), v.clone(), 0.3).narrow(2, 2, 5);
    assert_eq!(numbers(found), numbers(quantized_attention(q, k, v, 0.3)));
}

#[test]
fn a_query_or_key_that_is_not_finite_is_not_finite_in_quantized_attention() {
    for bad in [f32::NAN, f32::INFINITY] {
        for place in [0, 1] {
            let of = |tokens, seed| random([1, 1, tokens, 8], seed);
            let mut both = [of(5, 1), of(600, 2)];
            let value = Tensor::full([1, 1, 1, 1], bad, &Device::flex());
            both[place] = both[place]
                .clone()
                .slice_assign([0..1, 0..1, 3..4, 2..3], value);
            let [q, k] = both;
            let v = of(600, 3).cast(FloatDType::BF16);
            let found = quantized_attention(q, k, v, 0.3);
            let found = numbers(found.narrow(2, 3, 1));
            assert!(
                found.iter().all(|number| number.is_nan()),
                "{bad} {place}: {found:?}"
            );
        }
    }
}

#[test]
fn quantized_attention_to_half_keys_is_that_to_their_numbers() {
    let of = |tokens, seed| rounded(random([1, tokens, 2, 16], seed)).swap_dims(1, 2);
    let [q, k, v] = [of(40, 1), of(520, 2), of(520, 3)];
    let half = |x: &Tensor<4>| x.clone().cast(FloatDType::BF16);
    let found = quantized_attention(half(&q), half(&k), half(&v), 0.25);
    let expected = quantized_attention(q, k, half(&v), 0.25);
    assert_eq!(numbers(found), numbers(half(&expected)));
}

#[test]
#[should_panic(expected = "linear of 3 numbers cannot have weights for 4")]
fn linear_of_shapes_that_do_not_fit_panics() {
    let _ = linear(random([1, 3], 1), random([4, 2], 2), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn geglu_is_its_formula(batch in 1_usize..4, tokens in 1_usize..20, width in 1_usize..70, seed: u64) {
        let x = random([batch, tokens, 2 * width], seed);
        let expected: Vec<f64> = numbers(x.clone())
            .chunks(2 * width)
            .flat_map(|row| (0..width).map(|at| row[at] * reference::gelu(row[width + at])).collect::<Vec<_>>())
            .collect();
        assert_close("geglu", &numbers(geglu(x.clone())), &expected, 3e-6);
        assert_close("plain geglu", &numbers(plain::geglu(x)), &expected, 3e-6);
    }

    #[test]
    fn group_norm_is_its_formula(
        batch in 1_usize..4, groups in 1_usize..5, per_group in 1_usize..4, height in 1_usize..9, width in 1_usize..20, seed: u64,
    ) {
        let channels = groups * per_group;
        let x = random([batch, channels, height, width], seed);
        let [weight, bias] = [random([channels], seed ^ 1), random([channels], seed ^ 2)];
        let expected = reference::group_norm(
            &numbers(x.clone()), height * width, groups, [&numbers(weight.clone()), &numbers(bias.clone())], 1e-3,
        );
        let of = |activation| group_norm(x.clone(), groups, weight.clone(), bias.clone(), 1e-3, activation);
        assert_close("group_norm", &numbers(of(Activation::None)), &expected, 1e-4);
        let composed = plain::group_norm(x.clone(), groups, weight.clone(), bias.clone(), 1e-3, Activation::None);
        assert_close("plain group_norm", &numbers(composed), &expected, 1e-4);
        let expected: Vec<f64> = expected.into_iter().map(reference::silu).collect();
        assert_close("group_norm and silu", &numbers(of(Activation::Silu)), &expected, 1e-4);
    }

    #[test]
    fn layer_norm_is_its_formula(batch in 1_usize..4, tokens in 1_usize..20, width in 2_usize..100, seed: u64) {
        let x = random([batch, tokens, width], seed);
        let [weight, bias] = [random([width], seed ^ 1), random([width], seed ^ 2)];
        // A row is a group of planes of one number.
        let expected = reference::group_norm(&numbers(x.clone()), 1, 1, [&numbers(weight.clone()), &numbers(bias.clone())], 1e-3);
        let actual = layer_norm(x.clone(), weight.clone(), bias.clone(), 1e-3);
        assert_close("layer_norm", &numbers(actual), &expected, 3e-5);
        assert_close("plain layer_norm", &numbers(plain::layer_norm(x, weight, bias, 1e-3)), &expected, 3e-5);
    }

    #[test]
    fn attention_is_its_formula(
        heads in 1_usize..3, queries in 1_usize..120, further in 0_usize..120, dim in head_dim(), causal: bool, in_order: bool, seed: u64,
    ) {
        let keys = queries + further;
        let of = |tokens, seed| if in_order {
            random([2, heads, tokens, dim], seed)
        } else {
            random([2, tokens, heads, dim], seed).swap_dims(1, 2)
        };
        let (q, k, v) = (of(queries, seed), of(keys, seed ^ 1), of(keys, seed ^ 2));
        let scale = 0.5 / (dim as f64).sqrt();
        let flat = [&q, &k, &v].map(|x| numbers(x.clone()));
        let expected: Vec<f64> = (0..2 * heads)
            .flat_map(|head| {
                let of = |index: usize, tokens: usize| &flat[index][head * tokens * dim..][..tokens * dim];
                reference::attention([of(0, queries), of(1, keys), of(2, keys)], dim, scale, causal)
            })
            .collect();
        let actual = attention(q.clone(), k.clone(), v.clone(), scale, causal);
        assert_close("attention", &numbers(actual), &expected, 2e-5);
        assert_close("plain attention", &numbers(plain::attention(q, k, v, scale, causal)), &expected, 2e-5);
    }

    #[test]
    fn conv2d_is_that_of_burn(
        batch in 1_usize..4, channels_in in 1_usize..40, channels_out in 1_usize..30, size in [1_usize..14, 1_usize..20], kernel in [1_usize..4, 1_usize..4],
        stride in 1_usize..3, padding in [0_usize..3, 0_usize..3], further in [0_usize..2, 0_usize..2], biased: bool, seed: u64,
    ) {
        let ends: [(usize, usize); 2] = std::array::from_fn(|axis| (padding[axis], padding[axis] + further[axis]));
        prop_assume!((0..2).all(|axis| size[axis] + ends[axis].0 + ends[axis].1 >= kernel[axis]));
        let x = random([batch, channels_in, size[0], size[1]], seed);
        let weight = random([channels_out, channels_in, kernel[0], kernel[1]], seed ^ 1);
        let bias = biased.then(|| random([channels_out], seed ^ 2));
        let options = ConvOptions::new_with_padding([stride, stride], ends, [1, 1], 1);
        let expected = module::conv2d(x.clone(), weight.clone(), bias.clone(), options.clone());
        let actual = conv2d(x, weight, bias, options);
        prop_assert_eq!(actual.dims(), expected.dims());
        // Sums of up to 351 products of numbers up to 4.
        assert_close("conv2d", &numbers(actual), &numbers(expected), 2e-3);
    }
}
