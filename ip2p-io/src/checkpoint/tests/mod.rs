mod files;
mod folder;
mod loading;
mod spellings;
mod transplant;

use super::testing::{Folder, Small, Tensors, numbers};
use super::*;

const UNET: &str = "unet/diffusion_pytorch_model.safetensors";
const VAE: &str = "vae/diffusion_pytorch_model.safetensors";
const TEXT_ENCODER: &str = "text_encoder/model.safetensors";

fn load(folder: &Folder, component: Component, precision: Precision) -> Result<Small> {
    let checkpoint = Checkpoint::open(folder.path())?;
    let (module, _) = checkpoint.load(Small::new(), component, precision, &mut |_| ())?;
    Ok(module)
}

fn message<T>(result: Result<T>) -> String {
    match result {
        Ok(_) => panic!("an error was expected"),
        Err(error) => error.to_string(),
    }
}

#[track_caller]
fn assert_holds_small(module: Small) {
    let expected =
        |start: u16, count: u16| -> Vec<f32> { (start..start + count).map(f32::from).collect() };
    assert_eq!(numbers(module.conv_in.weight.val()), expected(0, 32));
    assert_eq!(
        numbers(module.conv_in.bias.unwrap().val()),
        expected(100, 4)
    );
    assert_eq!(numbers(module.norm.gamma.unwrap().val()), expected(200, 4));
    assert_eq!(numbers(module.norm.beta.unwrap().val()), expected(210, 4));
    let block = module.blocks.into_iter().next().unwrap();
    assert_eq!(numbers(block.norm.gamma.val()), expected(300, 3));
    assert_eq!(numbers(block.norm.beta.unwrap().val()), expected(310, 3));
    let transposed = [320.0, 323.0, 321.0, 324.0, 322.0, 325.0];
    assert_eq!(numbers(block.proj.weight.val()), transposed);
    assert_eq!(numbers(block.proj.bias.unwrap().val()), expected(330, 2));
    assert_eq!(numbers(module.embedding.weight.val()), expected(400, 15));
}
