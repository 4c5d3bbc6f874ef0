//! How much memory loading takes, beside the network itself.

#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::tensor::Device;
use ip2p_core::Precision;
use ip2p_io::{Component, Weights};

/// 486 MB in f32, in tensors as large as Stable Diffusion's largest: its token embedding, a feed-forward matrix and a
/// convolution of 1280 channels.
#[derive(Module, Debug)]
struct Large {
    embedding: Embedding,
    linears: Vec<Linear>,
    convs: Vec<Conv2d>,
}

const TOKENS: [usize; 2] = [49408, 768];
const LINEAR: [usize; 2] = [1280, 10240];
const CONV: [usize; 4] = [1280, 1280, 3, 3];
const COUNT: usize = 3;

impl Large {
    fn new() -> Self {
        let device = Device::flex();
        let [inputs, outputs] = LINEAR;
        let linear = LinearConfig::new(inputs, outputs).with_bias(false);
        let conv = Conv2dConfig::new([CONV[1], CONV[0]], [3, 3]).with_bias(false);
        Self {
            embedding: EmbeddingConfig::new(TOKENS[0], TOKENS[1]).init(&device),
            linears: (0..COUNT).map(|_| linear.init(&device)).collect(),
            convs: (0..COUNT).map(|_| conv.init(&device)).collect(),
        }
    }
}

/// Writes a file of zeros that takes no space on the disk, and returns the number of numbers in it.
fn write_zeros(path: &Path) -> u64 {
    let mut shapes = vec![("embedding.weight".to_owned(), TOKENS.to_vec())];
    for i in 0..COUNT {
        let [inputs, outputs] = LINEAR;
        shapes.push((format!("linears.{i}.weight"), vec![outputs, inputs]));
        shapes.push((format!("convs.{i}.weight"), CONV.to_vec()));
    }
    let mut end = 0;
    let mut header = serde_json::Map::new();
    for (name, shape) in shapes {
        let start = end;
        end += 4 * shape.iter().product::<usize>() as u64;
        let info =
            serde_json::json!({"dtype": "F32", "shape": shape, "data_offsets": [start, end]});
        header.insert(name, info);
    }
    let header = serde_json::to_vec(&header).expect("JSON");
    let mut file = File::create(path).expect("a file");
    file.write_all(&(header.len() as u64).to_le_bytes())
        .expect("written");
    file.write_all(&header).expect("written");
    file.set_len(8 + header.len() as u64 + end)
        .expect("a sparse file");
    end / 4
}

/// The most memory that this process has had, in bytes.
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .expect("Linux");
    let kilobytes = line.split_whitespace().nth(1).expect("Linux");
    kilobytes.parse::<u64>().expect("a number") * 1024
}

// One test, for the peak is the process's, and the smaller network goes first.
#[test]
fn the_peak_is_the_network_and_less_than_300_mb() {
    let folder = tempfile::tempdir().unwrap();
    let numbers = write_zeros(&folder.path().join("diffusion_pytorch_model.safetensors"));
    for precision in [Precision::Bf16, Precision::F32] {
        let weights = Weights::open(folder.path(), Component::Unet, precision).unwrap();
        let started = std::time::Instant::now();
        let (module, report) = weights.load(Large::new(), precision, &mut |_| ()).unwrap();
        assert_eq!(report.parameters, numbers);
        let seconds = started.elapsed().as_secs_f64();
        let model = numbers * precision.bytes() as u64;
        let peak = peak_memory();
        println!("{precision}: a network of {model} bytes, a peak of {peak} bytes, {seconds:.2} s");
        assert!(
            peak < model + 300_000_000,
            "{precision}: {peak} bytes for a network of {model}"
        );
        drop(module);
    }
}
