"""The tiny checkpoint as the original repository saved its own: one `.ckpt` with averaged and raw weights, read by diffusers here."""

import tempfile
from collections import OrderedDict
from pathlib import Path

import torch
from diffusers import StableDiffusionInstructPix2PixPipeline
from diffusers.loaders.single_file_utils import (
    DIFFUSERS_TO_LDM_MAPPING,
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
)
from golden import FIXTURES, save

FOLDER = FIXTURES / "tiny-ip2p"
# Of the U-Net's parts those that diffusers renames, from the end of a name to its end in CompVis' code.
RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def replaced(name, table):
    for ours, theirs in table.items():
        name = name.replace(f".{ours}.", f".{theirs}.")
    return name


def unet_name(name, layers=1):
    """openaimodel.py: blocks in one row, `layers` of them a level and one that makes the picture smaller or larger."""
    ends = {ours: theirs for ours, theirs in DIFFUSERS_TO_LDM_MAPPING["unet"]["layers"].items()}
    if name in ends:
        return ends[name]
    part, *rest = name.split(".")
    if part == "mid_block":
        block = {"resnets.0": "0", "attentions.0": "1", "resnets.1": "2"}[".".join(rest[:2])]
        return replaced(".".join(["middle_block", block, *rest[2:]]), RESNET if rest[0] == "resnets" else {})
    level, kind, index, *inner = rest
    level, index, stride = int(level), int(index), layers + 1
    place, table = ("0", RESNET) if kind == "resnets" else ("1", {})
    if part == "down_blocks":
        if kind == "downsamplers":
            return ".".join(["input_blocks", str((level + 1) * stride), "0.op", inner[-1]])
        return replaced(".".join(["input_blocks", str(1 + level * stride + index), place, *inner]), table)
    if kind == "upsamplers":
        # Level 0 of the tiny network has no attention on the way up.
        return ".".join(["output_blocks", str(level * stride + layers), "1" if level == 0 else "2", *inner])
    return replaced(".".join(["output_blocks", str(level * stride + index), place, *inner]), table)


def vae_name(name, levels=4):
    half, part, *rest = name.split(".")
    if half in ("quant_conv", "post_quant_conv"):
        return name
    if part == "conv_norm_out":
        return ".".join([half, "norm_out", *rest])
    if part == "mid_block":
        block = {"resnets.0": "block_1", "attentions.0": "attn_1", "resnets.1": "block_2"}[".".join(rest[:2])]
        return replaced(".".join([half, "mid", block, *rest[2:]]), ATTENTION)
    if part in ("down_blocks", "up_blocks"):
        level, kind, index, *inner = rest
        way, level = ("down", int(level)) if part == "down_blocks" else ("up", levels - 1 - int(level))
        where = {"resnets": f"block.{index}", "downsamplers": "downsample", "upsamplers": "upsample"}[kind]
        return ".".join([half, way, str(level), where, *inner]).replace("conv_shortcut", "nin_shortcut")
    return name


def pooled(unet):
    """Two U-Nets whose weights are ranges of the same few numbers, so that the file is small: raw ones and averaged ones."""
    generator = torch.Generator().manual_seed(41)
    noise = torch.randn(20_000, generator=generator)
    matrices, norms = (0.06 * noise).half(), (1 + 0.1 * noise[:256]).half()
    nets = {}, {}
    for index, (name, tensor) in enumerate(unet.state_dict().items()):
        pool = norms if "norm" in name and name.endswith("weight") else matrices
        for shift, net in zip([0, 5], nets):
            at = (7 * index + shift) % (len(pool) - tensor.numel() + 1)
            net[name] = pool[at : at + tensor.numel()].view(tensor.shape)
    return nets


def state_dict(pipe, raw, averaged):
    state = OrderedDict()
    for name in raw:
        plain = "diffusion_model." + unet_name(name)
        state["model." + plain] = raw[name]
        # The names that `LitEma` of CompVis' code gives them.
        state["model_ema." + plain.replace(".", "")] = averaged[name]
    for name, tensor in pipe.vae.state_dict().items():
        is_projection = "attentions" in name and tensor.dim() == 2
        state["first_stage_model." + vae_name(name)] = tensor[:, :, None, None] if is_projection else tensor
    for name, tensor in pipe.text_encoder.state_dict().items():
        # As files of transformers before 4.31, with a buffer, and of the oldest, without `text_model.`.
        state["cond_stage_model.transformer." + name.removeprefix("text_model.")] = tensor
    state["cond_stage_model.transformer.embeddings.position_ids"] = torch.arange(77)[None].float()
    state["betas"] = torch.linspace(0.00085**0.5, 0.012**0.5, 1000).double() ** 2
    state["model_ema.decay"] = torch.tensor(0.9999)
    state["model_ema.num_updates"] = torch.tensor(7, dtype=torch.int32)
    half = lambda tensor: tensor.half() if tensor.dtype == torch.float32 and tensor.dim() > 0 else tensor
    return OrderedDict((name, half(tensor).contiguous()) for name, tensor in state.items())


def check_with_diffusers(pipe, state, raw, averaged):
    """What diffusers makes of the names is the network that they were made from."""
    for extract_ema, own in [(False, raw), (True, averaged)]:
        read = convert_ldm_unet_checkpoint(dict(state), pipe.unet.config, extract_ema=extract_ema)
        assert read.keys() == own.keys(), read.keys() ^ own.keys()
        for name, tensor in read.items():
            assert torch.equal(tensor, own[name]), name
    read = convert_ldm_vae_checkpoint(dict(state), pipe.vae.config)
    own = pipe.vae.state_dict()
    assert read.keys() == own.keys(), read.keys() ^ own.keys()
    for name, tensor in read.items():
        assert torch.equal(tensor.reshape(own[name].shape), own[name].half()), name


def write(out):
    pipe = StableDiffusionInstructPix2PixPipeline.from_pretrained(FOLDER)
    raw, averaged = pooled(pipe.unet)
    state = state_dict(pipe, raw, averaged)
    check_with_diffusers(pipe, state, raw, averaged)
    path = out / "single" / "tiny.ckpt"
    path.parent.mkdir(parents=True, exist_ok=True)
    # Beside the weights, what a training leaves there.
    lightning = {"epoch": 3, "global_step": 1000, "lr_schedulers": [], "note": ("a", 0.5, None, True, b"x")}
    torch.save({**lightning, "state_dict": state}, path)
    expected = {}
    for name in ["conv_in.weight", "up_blocks.1.attentions.0.transformer_blocks.0.ff.net.0.proj.weight"]:
        expected |= {f"unet.raw.{name}": raw[name].float(), f"unet.ema.{name}": averaged[name].float()}
    for name in ["decoder.up_blocks.1.resnets.0.conv1.weight", "encoder.mid_block.attentions.0.to_q.weight"]:
        expected[f"vae.{name}"] = pipe.vae.state_dict()[name].half().float()
    save(out / "single" / "tiny-weights.safetensors", expected, 0.0, "the same numbers, widened from 16 bits")
