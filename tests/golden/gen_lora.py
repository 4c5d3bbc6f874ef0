"""Low-rank adaptations of the tiny checkpoint: the files of each trainer, and the weights with them merged by diffusers and PEFT."""

import math
import tempfile
from pathlib import Path

import torch
from diffusers import StableDiffusionInstructPix2PixPipeline
from diffusers.loaders import StableDiffusionLoraLoaderMixin
from gen_pipeline import INSTRUCTION, diffusers_edit, photo, pixels
from golden import FIXTURES, save, sort_header
from peft import LoHaConfig, LoKrConfig, LoraConfig, get_peft_model_state_dict, inject_adapter_in_model
from safetensors.torch import save_file

FOLDER = FIXTURES / "tiny-ip2p"
REASON = "a product of small matrices in f32, summed in another order"
ATTENTION = ["to_q", "to_out.0", "ff.net.0.proj"]
CONVOLUTIONS = ["conv_in", "proj_in", "resnets.0.conv1"]
LEVEL = "down_blocks.0.attentions.0.transformer_blocks.0."
# Of every kind of layer one, and one that nothing is added to.
UNET = [
    "conv_in",
    "conv_out",
    "down_blocks.0.resnets.0.conv1",
    "down_blocks.0.attentions.0.proj_in",
    LEVEL + "attn1.to_q",
    LEVEL + "ff.net.0.proj",
    "mid_block.attentions.0.transformer_blocks.0.attn2.to_out.0",
]
TEXT = ["encoder.layers.0.self_attn.q_proj", "encoder.layers.1.mlp.fc1"]


def pipeline():
    pipe = StableDiffusionInstructPix2PixPipeline.from_pretrained(FOLDER)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def draw(module, word, seed, gain=0.5):
    """Gives every factor a seeded value: PEFT begins with products of zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(module.named_parameters()):
            if word in name and "magnitude" not in name:
                fan_in = max(1, parameter[0].numel())
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * gain / fan_in**0.5)
            elif word in name:
                # Away from the weight's own lengths, which would change nothing but by the product.
                parameter.mul_(1 + 0.2 * torch.rand(parameter.shape, generator=generator))


def text_model(encoder):
    """transformers 5 has the text encoder's layers with or without this."""
    return getattr(encoder, "text_model", encoder)


def merged(pipe, scale=1.0):
    """The weights with what is added, by PEFT."""
    tensors = {}
    for prefix, network, names in [("unet", pipe.unet, UNET), ("text_encoder", text_model(pipe.text_encoder), TEXT)]:
        for module in network.modules():
            if hasattr(module, "merge") and hasattr(module, "scaling"):
                for adapter in module.scaling:
                    module.scaling[adapter] *= scale
                module.merge()
        for name in names:
            module = network.get_submodule(name)
            base = getattr(module, "base_layer", module)
            tensors[f"{prefix}.{name}.weight"] = base.weight
    return tensors


def settings(config):
    """A configuration of PEFT, its sets in order, without the path that the network was loaded from."""
    ordered = {name: sorted(value) if isinstance(value, set) else value for name, value in config.to_dict().items()}
    return ordered | {"base_model_name_or_path": None}


def write_file(path, tensors, metadata=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}, path, metadata=metadata)
    sort_header(path)


def flat(prefix, layer):
    return f"{prefix}_{layer.replace('.', '_')}"


def saved_by_diffusers(pipe, path, adapter="default"):
    """What `save_lora_weights` writes, with the settings of the training in the metadata."""
    with tempfile.TemporaryDirectory() as folder:
        text = getattr(pipe.text_encoder, "peft_config", None)
        StableDiffusionLoraLoaderMixin.save_lora_weights(
            folder,
            unet_lora_layers=get_peft_model_state_dict(pipe.unet),
            text_encoder_lora_layers=get_peft_model_state_dict(pipe.text_encoder) if text else None,
            unet_lora_adapter_metadata=settings(pipe.unet.peft_config[adapter]),
            text_encoder_lora_adapter_metadata=settings(text[adapter]) if text else None,
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((Path(folder) / "pytorch_lora_weights.safetensors").read_bytes())
        sort_header(path)


def write_diffusers(out):
    """U-Net and text encoder, of another rank and alpha each, linear layers and convolutions."""
    pipe = pipeline()
    pipe.unet.add_adapter(LoraConfig(r=3, lora_alpha=6, target_modules=ATTENTION + CONVOLUTIONS, alpha_pattern={"proj_in": 2}), "default")
    pipe.text_encoder.add_adapter(LoraConfig(r=2, lora_alpha=1, target_modules=["q_proj", "fc1"]), "default")
    draw(pipe.unet, "lora_", 1)
    draw(pipe.text_encoder, "lora_", 2)
    saved_by_diffusers(pipe, out / "lora" / "diffusers.safetensors")
    scale = 0.7
    tensors = merged(pipe, scale)
    # PEFT has the sum in the weights now: the edit is that of the merged networks.
    source = photo(96, 64)
    edit = diffusers_edit(pipe, source, steps=4)
    plain = diffusers_edit(pipeline(), source, steps=4)
    change = (edit["latents.3"] - plain["latents.3"]).abs().max()
    assert change > 0.05, change
    tensors |= {"photo": pixels(source), "latents": edit["latents.3"], "output.0": edit["output.0"]}
    save(out / "lora" / "diffusers-merged.safetensors", tensors, 2e-4, REASON, weight=str(scale), steps="4", seed="7", instruction=INSTRUCTION)


def write_dora(out):
    pipe = pipeline()
    pipe.unet.add_adapter(LoraConfig(r=2, lora_alpha=4, target_modules=ATTENTION + ["conv_in"], use_dora=True), "default")
    draw(pipe.unet, "lora_", 3)
    saved_by_diffusers(pipe, out / "lora" / "dora.safetensors")
    save(out / "lora" / "dora-merged.safetensors", merged(pipe), 1e-5, REASON)


def write_lycoris(out, name, config):
    """PEFT's own formulas, under the names that LyCORIS and kohya give them."""
    pipe = pipeline()
    inject_adapter_in_model(config, pipe.unet)
    # The two products of LoHa are small, and their product smaller.
    draw(pipe.unet, "hada_" if name == "loha" else "lokr_", 4, gain=1.0 if name == "loha" else 0.5)
    tensors = {}
    for layer, module in pipe.unet.named_modules():
        if not hasattr(module, "base_layer"):
            continue
        if name == "lokr" and "default" in module.lokr_w1 and "default" in module.lokr_w2:
            # Where nothing is factored LyCORIS knows no alpha: PEFT's goes into a factor, and out of its scale.
            module.lokr_w1["default"].data *= module.scaling["default"]
            module.scaling["default"] = 1.0
        for kind in module.adapter_layer_names:
            factors = getattr(module, kind)
            if "default" in factors:
                tensors[f"{flat('lora_unet', layer)}.{kind}"] = factors["default"]
        tensors[f"{flat('lora_unet', layer)}.alpha"] = torch.tensor(float(config.alpha))
    write_file(out / "lora" / f"{name}.safetensors", tensors)
    save(out / "lora" / f"{name}-merged.safetensors", merged(pipe), 1e-5, REASON)


def write_kohya(out):
    """U-Net in CompVis' and diffusers' names, text encoder, convolutions with a core between the factors, four channels of conv_in."""
    pipe = pipeline()
    generator = torch.Generator().manual_seed(5)
    unet, text = pipe.unet, text_model(pipe.text_encoder)
    random = lambda *shape: torch.randn(shape, generator=generator) * 0.5 / math.prod(shape[1:]) ** 0.5
    rank, tensors, expected = 3, {}, {}

    def add(prefix, network, layer, spelt=None, channels=None, core=False, alpha=None):
        weight = network.get_submodule(layer).weight
        outputs, inputs, *kernel = weight.shape
        inputs = channels or inputs
        name = flat(prefix, spelt or layer)
        ones = [1] * len(kernel)
        up = random(outputs, rank, *ones)
        if core:
            down, mid = random(rank, inputs, *ones), random(rank, rank, *kernel)
            # lycoris/modules/locon.py: three convolutions, one after the other.
            delta = torch.einsum("op,pqhw,qi->oihw", up.flatten(1), mid, down.flatten(1))
            tensors[f"{name}.lora_mid.weight"] = mid
        else:
            down = random(rank, inputs, *kernel)
            delta = (up.flatten(1) @ down.flatten(1)).reshape(outputs, inputs, *kernel)
        tensors[f"{name}.lora_down.weight"], tensors[f"{name}.lora_up.weight"] = down, up
        if alpha is not None:
            tensors[f"{name}.alpha"] = torch.tensor(float(alpha))
            delta = delta * alpha / rank
        merged = weight.detach().clone()
        merged[:, :inputs] += delta
        owner = "unet" if prefix == "lora_unet" else "text_encoder"
        expected[f"{owner}.{layer}.weight"] = merged

    add("lora_unet", unet, "conv_in", channels=4, alpha=2)
    add("lora_unet", unet, LEVEL + "attn1.to_q", alpha=1)
    add("lora_unet", unet, "down_blocks.0.resnets.0.conv1", core=True, alpha=1.5)
    add("lora_unet", unet, "down_blocks.0.attentions.0.proj_in", alpha=2)
    # CompVis' name of the same network's layer.
    add("lora_unet", unet, "mid_block.attentions.0.transformer_blocks.0.attn2.to_out.0", "middle_block.1.transformer_blocks.0.attn2.to_out.0")
    add("lora_te", text, TEXT[0], "text_model." + TEXT[0], alpha=3)
    write_file(out / "lora" / "kohya.safetensors", tensors)
    # As older trainers saved it.
    torch.save(tensors, out / "lora" / "kohya.pt")

    # What diffusers understands of it comes to the same there.
    plain = {key: tensor for key, tensor in tensors.items() if "attn1_to_q" in key or "proj_in" in key}
    pipe.load_lora_weights(plain)
    pipe.fuse_lora()
    for layer in [LEVEL + "attn1.to_q", "down_blocks.0.attentions.0.proj_in"]:
        torch.testing.assert_close(unet.get_submodule(layer).base_layer.weight, expected[f"unet.{layer}.weight"])
    save(out / "lora" / "kohya-merged.safetensors", expected, 1e-5, REASON)


def write(out):
    write_diffusers(out)
    write_dora(out)
    targets = dict(target_modules=ATTENTION + CONVOLUTIONS, init_weights=False)
    write_lycoris(out, "loha", LoHaConfig(r=2, alpha=1, use_effective_conv2d=True, **targets))
    write_lycoris(out, "lokr", LoKrConfig(r=2, alpha=1, use_effective_conv2d=True, decompose_both=True, **targets))
    write_kohya(out)
