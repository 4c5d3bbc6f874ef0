//! The networks of Stable Diffusion 1.5 with random weights: `cargo bench --bench networks`
//!
//! Ids name the size of the picture in pixels and the batch: `unet/256x256/batch 3`.

use criterion::{Criterion, criterion_group, criterion_main};
use ip2p::Device;
use ip2p::models::unet::UNet2DConditionConfig;
use ip2p::models::vae::AutoencoderKLConfig;

use burn::tensor::{Distribution, Tensor};

const UNET: &str = r#"{"in_channels": 8, "cross_attention_dim": 768, "attention_head_dim": 8}"#;
const VAE: &str = r#"{
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D"],
    "up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D"],
    "layers_per_block": 2
}"#;

fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), device)
}

fn unet(criterion: &mut Criterion) {
    let device = Device::flex();
    let config = UNet2DConditionConfig::from_json(UNET).expect("a config of diffusers");
    let unet = config.init(&device);
    let mut group = criterion.benchmark_group("unet");
    group.sample_size(10);
    for side in [256, 512] {
        let x = random([3, 8, side / 8, side / 8], &device);
        let timestep = Tensor::<1>::full([3], 500.0, &device);
        let context = random([3, 77, 768], &device);
        group.bench_function(format!("{side}x{side}/batch 3"), |bencher| {
            bencher.iter(|| {
                let output = unet.forward(x.clone(), timestep.clone(), context.clone());
                device.sync().expect("the device finishes");
                output
            });
        });
    }
}

fn vae(criterion: &mut Criterion) {
    let device = Device::flex();
    let vae = AutoencoderKLConfig::from_json(VAE)
        .expect("a config of diffusers")
        .init(&device);
    let mut group = criterion.benchmark_group("vae");
    group.sample_size(10);
    let latents = random([1, 4, 32, 32], &device);
    group.bench_function("decode/256x256", |bencher| {
        bencher.iter(|| {
            let rgb = vae.decode(latents.clone());
            device.sync().expect("the device finishes");
            rgb
        });
    });
}

criterion_group!(benches, unet, vae);
criterion_main!(benches);
