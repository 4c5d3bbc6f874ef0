//! The operators at the shapes of a guided Stable Diffusion 1.5 step (batch 3, 512×512), ours and composed of burn's.
//!
//! `cargo bench -p ip2p-kernels --features flex -- 'attention/64x64'`

use std::hint::black_box;

use burn::tensor::ops::{ConvOptions, InterpolateMode, InterpolateOptions};
use burn::tensor::{Device, Distribution, FloatDType, Tensor, module};
use criterion::{Criterion, criterion_group, criterion_main};
use ip2p_kernels::{
    Activation, HugePages, attention, conv2d, geglu, gelu, group_norm, layer_norm, linear,
    linear_geglu, plain, quantize, quantized_attention, silu, upsample_conv2d,
};

/// As the command has it.
#[global_allocator]
static MEMORY: HugePages = HugePages;

/// Branches of guidance.
const BATCH: usize = 3;

fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), &Device::flex())
}

/// Side of the latents and channels of each stage of the U-Net.
const STAGES: [(usize, usize); 4] = [(64, 320), (32, 640), (16, 1280), (8, 1280)];

/// Pictures, side and channels of convolutions: the U-Net's stages, then those of the autoencoder's decoder.
const CONVOLUTIONS: [(usize, usize, usize); 8] = [
    (BATCH, 64, 320),
    (BATCH, 32, 640),
    (BATCH, 16, 1280),
    (BATCH, 8, 1280),
    (1, 64, 512),
    (1, 128, 512),
    (1, 256, 256),
    (1, 512, 128),
];

fn activations(criterion: &mut Criterion) {
    let x = random([BATCH, 320, 64, 64]);
    criterion.bench_function("silu/64x64/320 channels", |bench| {
        bench.iter(|| silu(black_box(x.clone())));
    });
    criterion.bench_function("silu/64x64/320 channels/plain", |bench| {
        bench.iter(|| plain::silu(black_box(x.clone())));
    });
    criterion.bench_function("gelu/64x64/320 channels", |bench| {
        bench.iter(|| gelu(black_box(x.clone())));
    });
    for (side, channels) in STAGES {
        let x = random([BATCH, side * side, 8 * channels]);
        criterion.bench_function(
            &format!("geglu/{side}x{side}/{channels} channels"),
            |bench| {
                bench.iter(|| geglu(black_box(x.clone())));
            },
        );
    }
}

fn norms(criterion: &mut Criterion) {
    for (side, channels) in STAGES {
        let name = format!("{side}x{side}/{channels} channels");
        let x = random([BATCH, channels, side, side]);
        let weight = random([channels]);
        let bias = random([channels]);
        criterion.bench_function(&format!("group_norm+silu/{name}"), |bench| {
            bench.iter(|| {
                group_norm(
                    black_box(x.clone()),
                    32,
                    weight.clone(),
                    bias.clone(),
                    1e-5,
                    Activation::Silu,
                )
            });
        });
        let x = random([BATCH, side * side, channels]);
        criterion.bench_function(&format!("layer_norm/{name}"), |bench| {
            bench.iter(|| layer_norm(black_box(x.clone()), weight.clone(), bias.clone(), 1e-5));
        });
    }
}

/// Queries, keys and values as a transformer block has them: `[batch, tokens, heads, head_dim]` with two axes swapped.
fn attentions(criterion: &mut Criterion) {
    let mut case = |name: &str, batch, heads, queries, keys, head_dim| {
        let of = |tokens| random([batch, tokens, heads, head_dim]).swap_dims(1, 2);
        let (q, k, v) = (of(queries), of(keys), of(keys));
        let scale = (head_dim as f64).powf(-0.5);
        let id = format!("attention/{name}/{heads} heads of {head_dim}");
        criterion.bench_function(&id, |bench| {
            bench.iter(|| attention(black_box(q.clone()), k.clone(), v.clone(), scale, false));
        });
        let [k16, v16] = [&k, &v].map(|x| x.clone().cast(FloatDType::BF16));
        criterion.bench_function(&format!("{id}/BF16"), |bench| {
            bench.iter(|| attention(black_box(q.clone()), k16.clone(), v16.clone(), scale, false));
        });
        // With fewer keys it is the one before.
        if keys >= 512 {
            criterion.bench_function(&format!("{id}/int8"), |bench| {
                bench.iter(|| {
                    quantized_attention(black_box(q.clone()), k.clone(), v16.clone(), scale)
                });
            });
        }
        // With more of them its scores would not fit in the memory of a usual machine.
        if queries * keys <= 1 << 24 {
            criterion.bench_function(&format!("{id}/plain"), |bench| {
                bench.iter(|| {
                    plain::attention(black_box(q.clone()), k.clone(), v.clone(), scale, false)
                });
            });
        }
    };
    case("128x128", BATCH, 8, 128 * 128, 128 * 128, 40);
    for (side, channels) in STAGES {
        let tokens = side * side;
        case(
            &format!("{side}x{side}"),
            BATCH,
            8,
            tokens,
            tokens,
            channels / 8,
        );
        case(
            &format!("{side}x{side} to 77"),
            BATCH,
            8,
            tokens,
            77,
            channels / 8,
        );
    }
    case("autoencoder 64x64", 1, 1, 4096, 4096, 512);
}

fn convolutions(criterion: &mut Criterion) {
    for (batch, side, channels) in CONVOLUTIONS {
        for kernel in [3, 1] {
            let x = random([batch, channels, side, side]);
            let weight = random([channels, channels, kernel, kernel]);
            let bias = random([channels]);
            let options = ConvOptions::new([1, 1], [kernel / 2, kernel / 2], [1, 1], 1);
            let arguments = || (x.clone(), weight.clone(), Some(bias.clone()));
            let id = format!("conv2d {kernel}x{kernel}/{side}x{side}/{channels} channels");
            criterion.bench_function(&id, |bench| {
                bench.iter(|| {
                    let (x, weight, bias) = arguments();
                    conv2d(x, weight, bias, options.clone())
                });
            });
            criterion.bench_function(&format!("{id}/plain"), |bench| {
                bench.iter(|| {
                    let (x, weight, bias) = arguments();
                    module::conv2d(x, weight, bias, options.clone())
                });
            });
        }
    }
}

/// Linear layers and convolutions with weights of `bf16`, and those in `f32`.
fn halves(criterion: &mut Criterion) {
    for (side, channels) in STAGES {
        let tokens = side * side;
        for (name, from, to) in [
            ("to_q", channels, channels),
            ("geglu", channels, 8 * channels),
            ("out", 4 * channels, channels),
        ] {
            let x = random([BATCH, tokens, from]);
            let weight = random([from, to]);
            let in_bytes = ("int8", quantize(weight.clone()));
            let floats = [("F32", FloatDType::F32), ("BF16", FloatDType::BF16)];
            let floats = floats.map(|(name, dtype)| (name, weight.clone().cast(dtype)));
            for (dtype, weight) in floats.into_iter().chain([in_bytes]) {
                let id = format!("linear {name}/{side}x{side}/{channels} channels/{dtype}");
                criterion.bench_function(&id, |bench| {
                    bench.iter(|| linear(black_box(x.clone()), weight.clone(), None));
                });
                if name == "geglu" {
                    criterion.bench_function(&format!("{id}/gated"), |bench| {
                        bench.iter(|| linear_geglu(black_box(x.clone()), weight.clone(), None));
                    });
                }
            }
        }
    }
    for (batch, side, channels) in CONVOLUTIONS {
        for kernel in [3, 1] {
            let x = random([batch, channels, side, side]);
            let weight = random([channels, channels, kernel, kernel]);
            let options = ConvOptions::new([1, 1], [kernel / 2, kernel / 2], [1, 1], 1);
            let name = format!("conv2d {kernel}x{kernel}/{side}x{side}/{channels} channels");
            let narrow = ("BF16", weight.clone().cast(FloatDType::BF16));
            let in_bytes = (kernel == 3).then(|| ("int8", quantize(weight)));
            for (dtype, weight) in [narrow].into_iter().chain(in_bytes) {
                criterion.bench_function(&format!("{name}/{dtype}"), |bench| {
                    bench.iter(|| {
                        conv2d(black_box(x.clone()), weight.clone(), None, options.clone())
                    });
                });
            }
        }
    }
}

/// The U-Net's and the decoder's layers that double a picture, by the one operator and by two.
fn upsamples(criterion: &mut Criterion) {
    for (batch, side, channels) in [
        (BATCH, 8, 1280),
        (BATCH, 16, 1280),
        (BATCH, 32, 640),
        (1, 64, 512),
        (1, 128, 512),
        (1, 256, 256),
    ] {
        let x = random([batch, channels, side, side]);
        for dtype in [FloatDType::F32, FloatDType::BF16] {
            let weight = random([channels, channels, 3, 3]).cast(dtype);
            let id = format!("upsample/{side}x{side}/{channels} channels/{dtype:?}");
            criterion.bench_function(&id, |bench| {
                bench.iter(|| upsample_conv2d(black_box(x.clone()), weight.clone(), None));
            });
            criterion.bench_function(&format!("{id}/two operators"), |bench| {
                let options = ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
                bench.iter(|| {
                    let nearest = InterpolateOptions::new(InterpolateMode::Nearest)
                        .with_output_size([2 * side; 2]);
                    let doubled = module::interpolate(black_box(x.clone()), nearest);
                    conv2d(doubled, weight.clone(), None, options.clone())
                });
            });
        }
    }
}

criterion_group! {
    name = operators;
    config = Criterion::default().sample_size(10);
    targets = activations, norms, attentions, convolutions, halves, upsamples
}
criterion_main!(operators);
