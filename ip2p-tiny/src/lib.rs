//! The small InstructPix2Pix model that comes with ip2p: a checkpoint in diffusers' layout, in the program.
//!
//! ```
//! let bytes: usize = ip2p_tiny::FILES.iter().map(|(_, bytes)| bytes.len()).sum();
//! assert!(bytes <= 9_000_000);
//! ```
//!
//! `ip2p` edits with it where its feature `tiny` is on: `Editor::tiny`. How it was trained, on which pictures, and what it
//! can do and cannot, is said in its README.

/// A file under `model/`, by its path there.
macro_rules! file {
    ($path:literal) => {
        ($path, include_bytes!(concat!("../model/", $path)))
    };
}

/// The files of the checkpoint: the path of each in the folder, and its contents.
pub const FILES: &[(&str, &[u8])] = &[
    file!("ip2p.json"),
    file!("model_index.json"),
    file!("scheduler/scheduler_config.json"),
    file!("text_encoder/config.json"),
    file!("text_encoder/model.fp16.safetensors"),
    file!("tokenizer/merges.txt"),
    file!("tokenizer/tokenizer_config.json"),
    file!("tokenizer/vocab.json"),
    file!("unet/config.json"),
    file!("unet/diffusion_pytorch_model.fp16.safetensors"),
    file!("vae/config.json"),
    file!("vae/diffusion_pytorch_model.fp16.safetensors"),
];
