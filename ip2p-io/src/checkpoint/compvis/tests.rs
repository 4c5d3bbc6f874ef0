//! Names of both, and the way between them.

use proptest::prelude::*;

use super::*;

const BLOCKS: UnetBlocks = UnetBlocks { per_level: 2 };

/// Names of both, of Stable Diffusion 1; from `single_file_utils.py` of diffusers 0.42.
const UNET: &[(&str, &str)] = &[
    ("conv_in.weight", "input_blocks.0.0.weight"),
    ("time_embedding.linear_2.bias", "time_embed.2.bias"),
    ("add_embedding.linear_1.weight", "label_emb.0.0.weight"),
    ("add_embedding.linear_2.bias", "label_emb.0.2.bias"),
    (
        "down_blocks.0.resnets.1.conv1.weight",
        "input_blocks.2.0.in_layers.2.weight",
    ),
    (
        "down_blocks.0.downsamplers.0.conv.bias",
        "input_blocks.3.0.op.bias",
    ),
    (
        "down_blocks.2.resnets.0.conv_shortcut.weight",
        "input_blocks.7.0.skip_connection.weight",
    ),
    (
        "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q.weight",
        "input_blocks.4.1.transformer_blocks.0.attn1.to_q.weight",
    ),
    (
        "mid_block.resnets.1.norm2.weight",
        "middle_block.2.out_layers.0.weight",
    ),
    (
        "mid_block.attentions.0.proj_in.weight",
        "middle_block.1.proj_in.weight",
    ),
    (
        "up_blocks.0.upsamplers.0.conv.weight",
        "output_blocks.2.1.conv.weight",
    ),
    (
        "up_blocks.1.upsamplers.0.conv.weight",
        "output_blocks.5.2.conv.weight",
    ),
    (
        "up_blocks.3.resnets.2.time_emb_proj.weight",
        "output_blocks.11.0.emb_layers.1.weight",
    ),
    (
        "up_blocks.3.attentions.2.norm.bias",
        "output_blocks.11.1.norm.bias",
    ),
    ("conv_norm_out.weight", "out.0.weight"),
    ("conv_out.bias", "out.2.bias"),
];

const VAE: &[(&str, &str)] = &[
    ("encoder.conv_in.weight", "encoder.conv_in.weight"),
    (
        "encoder.down_blocks.1.resnets.0.conv_shortcut.bias",
        "encoder.down.1.block.0.nin_shortcut.bias",
    ),
    (
        "encoder.down_blocks.2.downsamplers.0.conv.weight",
        "encoder.down.2.downsample.conv.weight",
    ),
    (
        "encoder.mid_block.resnets.1.norm1.weight",
        "encoder.mid.block_2.norm1.weight",
    ),
    (
        "encoder.mid_block.attentions.0.to_out.0.bias",
        "encoder.mid.attn_1.proj_out.bias",
    ),
    (
        "decoder.mid_block.attentions.0.group_norm.weight",
        "decoder.mid.attn_1.norm.weight",
    ),
    (
        "decoder.up_blocks.0.resnets.2.conv2.weight",
        "decoder.up.3.block.2.conv2.weight",
    ),
    (
        "decoder.up_blocks.2.upsamplers.0.conv.bias",
        "decoder.up.1.upsample.conv.bias",
    ),
    ("decoder.conv_norm_out.bias", "decoder.norm_out.bias"),
    ("post_quant_conv.weight", "post_quant_conv.weight"),
];

#[test]
fn a_weight_of_the_unet_has_one_name_in_each() {
    for &(diffusers, compvis) in UNET {
        // In Stable Diffusion 1 all levels on the way up have attention but the first.
        let name = BLOCKS.to_compvis(diffusers, |level| level > 0);
        assert_eq!(name.as_deref(), Some(compvis));
        assert_eq!(BLOCKS.to_diffusers(compvis).as_deref(), Some(diffusers));
    }
}

#[test]
fn a_weight_of_the_autoencoder_has_one_name_in_each() {
    for &(diffusers, compvis) in VAE {
        assert_eq!(vae_to_compvis(diffusers, 4).as_deref(), Some(compvis));
        assert_eq!(vae_to_diffusers(compvis, 4).as_deref(), Some(diffusers));
    }
    assert_eq!(vae_levels(VAE.iter().map(|names| names.1)), 4);
    assert_eq!(vae_levels(["decoder.up_blocks.2.x"].into_iter()), 3);
}

#[test]
fn the_blocks_of_a_level_are_counted_in_either_spelling() {
    let names = [
        "down_blocks.0.resnets.0.x",
        "down_blocks.0.resnets.1.x",
        "down_blocks.1.resnets.4.x",
    ];
    assert_eq!(UnetBlocks::of_diffusers(names.into_iter()), BLOCKS);
    let names = [
        "input_blocks.9.0.op.bias",
        "input_blocks.3.0.op.bias",
        "input_blocks.11.0.in_layers.0.bias",
    ];
    assert_eq!(UnetBlocks::of_compvis(names.into_iter()), BLOCKS);
    // One level has nothing that makes the picture smaller.
    let names = ["input_blocks.0.0.bias", "input_blocks.2.0.in_layers.0.bias"];
    assert_eq!(UnetBlocks::of_compvis(names.into_iter()), BLOCKS);
}

#[test]
fn what_is_no_weight_of_the_network_has_no_name() {
    for name in [
        "",
        "conv_input.weight",
        "down_blocks.x.resnets.0.a",
        "label_emb.1.0.weight",
        "input_blocks.0.1.a",
    ] {
        assert_eq!(BLOCKS.to_diffusers(name), None, "{name}");
        assert_eq!(BLOCKS.to_compvis(name, |_| true), None, "{name}");
    }
    assert_eq!(vae_to_diffusers("decoder.up.7.block.0.x", 4), None);
    assert_eq!(vae_to_compvis("loss.logvar", 4), None);
}

proptest! {
    #[test]
    fn no_name_makes_it_panic(name in "(input_blocks|output_blocks|down_blocks|up_blocks|decoder|encoder)[.](up|down|up_blocks)?[.]?[0-9]{1,25}[.](resnets|block|0|1)?[.]?[0-9]{0,25}[.]?\\PC{0,9}", blocks: usize) {
        let blocks = UnetBlocks { per_level: blocks };
        let _ = blocks.to_compvis(&name, |_| true);
        let _ = blocks.to_diffusers(&name);
        let _ = vae_to_compvis(&name, blocks.per_level);
        let _ = vae_to_diffusers(&name, blocks.per_level);
    }
}
