"""Layers, mode, decode and tiles of a tiny AutoencoderKL, and both ways of a tiny AutoencoderTiny."""

import json
import re

import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from golden import randomise, save

TOLERANCE = 1e-5
# GPUs fuse a product with a sum, and approximate exponentials and square roots.
TOLERANCE_GPU = 1e-4
REASON = "f32 sums of up to 144 terms in another order, through some 30 convolutions; 2.2e-6 seen with flex"


def public_config(network):
    """`config.json` as save_pretrained writes it."""
    return json.dumps(json.loads(network.to_json_string()))


def smooth(shape, generator):
    """A picture without sharp edges, as photos mostly are."""
    coarse = torch.randn((*shape[:2], 4, 4), generator=generator)
    return torch.nn.functional.interpolate(coarse, shape[2:], mode="bicubic").clamp(-1, 1)


def record(network, names):
    """Keeps what the named submodules return, in the dict that is returned."""
    seen = {}
    for name in names:
        keep = lambda _module, _input, output, name=name: seen.__setitem__(name, output)
        network.get_submodule(name).register_forward_hook(keep)
    return seen


def kl(**changes):
    config = dict(
        block_out_channels=(8, 8, 16), layers_per_block=2, latent_channels=4, norm_num_groups=4, sample_size=16
    )
    config |= changes
    resolutions = len(config["block_out_channels"])
    config["down_block_types"] = ("DownEncoderBlock2D",) * resolutions
    config["up_block_types"] = ("UpDecoderBlock2D",) * resolutions
    return randomise(AutoencoderKL(**config), seed=21)


def write_kl(out):
    generator = torch.Generator().manual_seed(22)
    rgb = smooth((1, 3, 24, 16), generator)
    vae = kl()
    inner = r"conv_in|conv_out|.*(resnets|attentions|downsamplers|upsamplers)\.\d"
    layers = re.compile(rf"(en|de)coder\.({inner})|(post_)?quant_conv")
    seen = record(vae, [name for name, _ in vae.named_modules() if layers.fullmatch(name)])
    mode = vae.encode(rgb).latent_dist.mode()
    decoded = vae.decode(mode).sample
    tensors = {"rgb": rgb, "mode": mode, "decoded": decoded, **seen}
    save(out / "vae" / "kl.safetensors", tensors, TOLERANCE, REASON, TOLERANCE_GPU, config=public_config(vae))
    save(out / "vae" / "kl_weights.safetensors", vae.state_dict(), 0, "weights, not compared")

    # Without the parts that a config can leave out.
    left_out = dict(use_quant_conv=False, use_post_quant_conv=False, mid_block_add_attention=False)
    bare = kl(**left_out, block_out_channels=(4, 8), layers_per_block=1)
    mode = bare.encode(rgb).latent_dist.mode()
    tensors = {"rgb": rgb, "mode": mode, "decoded": bare.decode(mode).sample}
    save(out / "vae" / "kl_bare.safetensors", tensors, TOLERANCE, REASON, TOLERANCE_GPU, config=public_config(bare))
    save(out / "vae" / "kl_bare_weights.safetensors", bare.state_dict(), 0, "weights, not compared")


def write_tiled(out):
    generator = torch.Generator().manual_seed(23)
    vae = kl()
    # Tiles of 16 with an overlap of 4; the last ones are narrower, down and across by different amounts.
    rgb = smooth((2, 3, 44, 32), generator)
    latents = torch.randn((2, 4, 11, 8), generator=generator)
    vae.enable_tiling()
    tensors = {
        "rgb": rgb,
        "latents": latents,
        "mode": vae.encode(rgb).latent_dist.mode(),
        "decoded": vae.decode(latents).sample,
    }
    save(out / "vae" / "tiled.safetensors", tensors, TOLERANCE, REASON, TOLERANCE_GPU, config=public_config(vae))


def write_tiny(out):
    generator = torch.Generator().manual_seed(24)
    channels = dict(encoder_block_out_channels=(8,) * 3, decoder_block_out_channels=(8,) * 3)
    blocks = dict(num_encoder_blocks=(1, 2, 1), num_decoder_blocks=(2, 1, 1))
    taesd = randomise(AutoencoderTiny(**channels, **blocks), seed=25)
    rgb = smooth((2, 3, 24, 16), generator)
    # Far enough out for the clamp to count.
    latents = 3 * torch.randn((2, 4, 6, 4), generator=generator)
    tensors = {
        "rgb": rgb,
        "latents": latents,
        "encoded": taesd.encode(rgb).latents,
        "decoded": taesd.decode(latents).sample,
    }
    save(out / "vae" / "taesd.safetensors", tensors, TOLERANCE, REASON, TOLERANCE_GPU, config=public_config(taesd))
    save(out / "vae" / "taesd_weights.safetensors", taesd.state_dict(), 0, "weights, not compared")


@torch.no_grad()
def write(out):
    write_kl(out)
    write_tiled(out)
    write_tiny(out)
