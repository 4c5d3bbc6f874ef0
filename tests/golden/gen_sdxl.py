"""Stable Diffusion XL: a tiny folder, its networks, whole edits in both modes, and single files with the names of other code.

diffusers' pipeline stretches a photo to a square of `sample_size` unless it is given a size, and turns guidance off at image
scales below 1: the edits here are given the photo's own size, a multiple of 8, and scales from 1.
"""

import json
import shutil

import torch
from diffusers import (
    AutoencoderKL,
    EDMEulerScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    StableDiffusionXLInstructPix2PixPipeline,
    UNet2DConditionModel,
)
from diffusers.loaders.single_file_utils import (
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
)
from gen_pipeline import INSTRUCTION, photo, pixels
from gen_single import RESNET, replaced, vae_name
from gen_tiny import write_tokenizer
from gen_unet import observe
from golden import randomise, save
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

TOLERANCE = 1e-5
TOLERANCE_GPU = 1e-4
REASON = "f32 sums in another order, through some 40 layers"
EDIT_REASON = "f32 sums in another order, grown by the steps of a random network; pictures are compared by share of values"
WIDTHS = (8, 16)
PROJECTION = 12
TIME_IDS = 8


def text_config(vocabulary, width, layers, act, **settings):
    return CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        max_position_embeddings=77,
        hidden_act=act,
        bos_token_id=vocabulary - 2,
        pad_token_id=vocabulary - 1,
        **settings,
    )


def unet():
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=8,
        out_channels=4,
        block_out_channels=(4, 8, 8),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(1, 2, 4),
        transformer_layers_per_block=(1, 1, 2),
        cross_attention_dim=sum(WIDTHS),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=TIME_IDS,
        projection_class_embeddings_input_dim=6 * TIME_IDS + PROJECTION,
        norm_num_groups=4,
    )


def vae(levels=3):
    return AutoencoderKL(
        block_out_channels=(4,) * levels,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=64,
        scaling_factor=0.13025,
        force_upcast=True,
    )


def scheduler():
    # That of the hub's Stable Diffusion XL folders.
    return EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        timestep_spacing="leading",
        steps_offset=1,
    )


def edm(sigma_schedule="exponential"):
    return EDMEulerScheduler(
        sigma_min=0.002,
        sigma_max=120.0,
        sigma_data=1.0,
        prediction_type="v_prediction",
        sigma_schedule=sigma_schedule,
    )


def set_pad(folder, token):
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text()) | {"pad_token": token}, indent=2))


def write_folder(folder):
    shutil.rmtree(folder, ignore_errors=True)
    tokenizers = [folder.with_name(f"{folder.name}-{name}") for name in ("tokenizer", "tokenizer_2")]
    vocabulary = [write_tokenizer(path) for path in tokenizers][0]
    set_pad(tokenizers[1], "!")
    # As on the hub, where the second encoder's `eos_token_id` is the old wrong 2.
    first = text_config(vocabulary, WIDTHS[0], 2, "quick_gelu", eos_token_id=vocabulary - 1)
    second = text_config(vocabulary, WIDTHS[1], 3, "gelu", eos_token_id=2, projection_dim=PROJECTION)
    pipeline = StableDiffusionXLInstructPix2PixPipeline(
        vae=randomise(vae(), seed=52),
        text_encoder=randomise(CLIPTextModel(first), seed=50),
        text_encoder_2=randomise(CLIPTextModelWithProjection(second), seed=51),
        tokenizer=CLIPTokenizer.from_pretrained(tokenizers[0]),
        tokenizer_2=CLIPTokenizer.from_pretrained(tokenizers[1]),
        unet=randomise(unet(), seed=53),
        scheduler=scheduler(),
        add_watermarker=False,
    )
    pipeline.to(torch.float16)
    pipeline.save_pretrained(folder, variant="fp16")
    for path in tokenizers:
        name = path.name.removeprefix(f"{folder.name}-")
        shutil.rmtree(folder / name)
        shutil.move(path, folder / name)


def load(folder, **settings):
    pipeline = StableDiffusionXLInstructPix2PixPipeline.from_pretrained(
        folder, variant="fp16", torch_dtype=torch.float32, add_watermarker=False, **settings
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def write_networks(out, pipeline):
    """The text encoders' states, and each layer of the U-Net."""
    sentences = ["make it snowy", "turn the car red! as a watercolour painting", ""]
    tensors = {}
    for suffix, tokenizer, encoder in [
        ("1", pipeline.tokenizer, pipeline.text_encoder),
        ("2", pipeline.tokenizer_2, pipeline.text_encoder_2),
    ]:
        ids = tokenizer(sentences, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
        states = encoder(ids, output_hidden_states=True)
        tensors |= {f"ids.{suffix}": ids, f"penultimate.{suffix}": states.hidden_states[-2]}
    tensors["pooled"] = states.text_embeds
    # A config that names the end: its first place in the sentence, or the sentence's first if it is not there.
    config = CLIPTextConfig.from_dict(pipeline.text_encoder_2.config.to_dict() | {"eos_token_id": 320})
    named = CLIPTextModelWithProjection(config).eval()
    named.load_state_dict(pipeline.text_encoder_2.state_dict())
    generator = torch.Generator().manual_seed(54)
    ids = torch.randint(0, 300, (2, 20), generator=generator)
    ids[0, [7, 11]] = 320
    tensors |= {"named.ids": ids, "named.pooled": named(ids).text_embeds}
    save(out / "sdxl" / "text.safetensors", tensors, TOLERANCE, REASON, TOLERANCE_GPU, named_eos="320")

    randn = lambda *shape: torch.randn(shape, generator=generator)
    x, timestep = randn(2, 8, 6, 4), torch.tensor([999.0, -1.25])
    context, text_embeds = randn(2, 5, sum(WIDTHS)), randn(2, PROJECTION)
    time_ids = torch.tensor([[768.0, 512, 0, 0, 768, 512], [64, 1024, 16, 8, 64, 1024]])
    added = {"text_embeds": text_embeds, "time_ids": time_ids}
    model = pipeline.unet
    tensors = observe(lambda *inputs: model(*inputs, added_cond_kwargs=added), x, timestep, context, module=model)
    save(out / "sdxl" / "unet.safetensors", tensors | added, TOLERANCE, REASON, TOLERANCE_GPU)


def edit(pipeline, source, steps=6, seed=7, **settings):
    trajectory = []
    images = pipeline(
        INSTRUCTION,
        image=source,
        width=source.width,
        height=source.height,
        num_inference_steps=steps,
        generator=torch.Generator().manual_seed(seed),
        callback=lambda i, t, latents: trajectory.append(latents.clone()),
        callback_steps=1,
        **settings,
    ).images
    tensors = {f"latents.{i}": latents for i, latents in enumerate(trajectory)}
    return tensors | {f"output.{i}": pixels(image) for i, image in enumerate(images)} | {"photo": pixels(source)}


def write_edits(out, pipeline):
    source = photo(48, 32)
    ancestral = EulerAncestralDiscreteScheduler.from_config(pipeline.scheduler.config)
    scaled = dict(guidance_scale=3.0, image_guidance_scale=1.2)
    cases = {
        "euler": (scheduler(), False, {}),
        "euler-a": (ancestral, False, scaled),
        "two-images": (scheduler(), False, dict(num_images_per_prompt=2)),
        "cosxl": (edm(), True, {}),
        "cosxl-karras": (edm("karras"), True, scaled),
        "cosxl-negative": (edm(), True, dict(negative_prompt="a red car", **scaled)),
    }
    for name, (own, is_cosxl_edit, settings) in cases.items():
        pipeline.scheduler, pipeline.is_cosxl_edit = own, is_cosxl_edit
        tensors = edit(pipeline, source, **settings)
        words = {key: str(value) for key, value in settings.items()}
        words |= {"steps": "6", "seed": "7", "scheduler": own.to_json_string()}
        save(out / "sdxl" / f"{name}.safetensors", tensors, 2e-4, EDIT_REASON, 5e-3, **words)


def unet_name(name, layers=1):
    """As `gen_single.unet_name`, where all levels but the last on the way up have attention."""
    ends = {
        "conv_in": "input_blocks.0.0",
        "time_embedding.linear_1": "time_embed.0",
        "time_embedding.linear_2": "time_embed.2",
        "add_embedding.linear_1": "label_emb.0.0",
        "add_embedding.linear_2": "label_emb.0.2",
        "conv_norm_out": "out.0",
        "conv_out": "out.2",
    }
    stem, end = name.rsplit(".", 1)
    if stem in ends:
        return f"{ends[stem]}.{end}"
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
        return ".".join(["output_blocks", str(level * stride + layers), "2", *inner])
    return replaced(".".join(["output_blocks", str(level * stride + index), place, *inner]), table)


def open_clip_names(encoder):
    """The weights of a text encoder as OpenCLIP has them: the projections of an attention in one, the last one turned."""
    state = {name.removeprefix("text_model."): x for name, x in encoder.state_dict().items()}
    renamed = {
        "token_embedding.weight": state.pop("embeddings.token_embedding.weight"),
        "positional_embedding": state.pop("embeddings.position_embedding.weight"),
        "ln_final.weight": state.pop("final_layer_norm.weight"),
        "ln_final.bias": state.pop("final_layer_norm.bias"),
        "logit_scale": torch.tensor(4.6),
    }
    if "text_projection.weight" in state:
        renamed["text_projection"] = state.pop("text_projection.weight").T
    for layer in range(encoder.config.num_hidden_layers):
        old, new = f"encoder.layers.{layer}.", f"transformer.resblocks.{layer}."
        for end in ("weight", "bias"):
            parts = [state.pop(f"{old}self_attn.{name}_proj.{end}") for name in "qkv"]
            renamed[f"{new}attn.in_proj_{end}"] = torch.cat(parts)
            renamed[f"{new}attn.out_proj.{end}"] = state.pop(f"{old}self_attn.out_proj.{end}")
            names = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}
            for ours, theirs in names.items():
                renamed[f"{new}{theirs}.{end}"] = state.pop(f"{old}{ours}.{end}")
    assert not state, state.keys()
    return renamed


def vae_state(vae):
    levels = len(vae.config.block_out_channels)
    for name, x in vae.state_dict().items():
        is_projection = "attentions" in name and x.dim() == 2
        yield "first_stage_model." + vae_name(name, levels), x[:, :, None, None] if is_projection else x


def half(state):
    return {name: x.half().contiguous() if x.is_floating_point() else x for name, x in state.items()}


def check_clip(encoder, state, prefix):
    """diffusers makes of the names the network that they were made from."""
    # Its rule wants the width of the projections, which it takes from a projection that is as wide as the states.
    given = {name: x for name, x in state.items() if not name.endswith("text_projection")}
    read = convert_open_clip_checkpoint(encoder, given, prefix=prefix)
    own = {name.removeprefix("text_model."): x for name, x in encoder.state_dict().items()}
    for name, x in read.items():
        name = name.removeprefix("text_model.")
        if name in own:
            assert torch.equal(x, own.pop(name).half()), name
    own.pop("text_projection.weight", None)
    assert not own, own.keys()


def write_single(out, pipeline):
    """The folder as one file, as Stability's code for XL names the weights, with what CosXL's file says beside them."""
    state = {"model.diffusion_model." + unet_name(name): x for name, x in pipeline.unet.state_dict().items()}
    state |= dict(vae_state(pipeline.vae))
    for name, x in pipeline.text_encoder.state_dict().items():
        state["conditioner.embedders.0.transformer.text_model." + name.removeprefix("text_model.")] = x
    state["conditioner.embedders.0.transformer.text_model.embeddings.position_ids"] = torch.arange(77)[None]
    for name, x in open_clip_names(pipeline.text_encoder_2).items():
        state["conditioner.embedders.1.model." + name] = x
    state |= {"edm_vpred.sigma_max": torch.tensor(120.0), "edm_vpred.sigma_min": torch.tensor(0.002)}
    extras = {name: state[name] for name in ("edm_vpred.sigma_max", "edm_vpred.sigma_min")}
    state = half(state) | extras
    for read, own in [
        (convert_ldm_unet_checkpoint(dict(state), pipeline.unet.config), pipeline.unet.state_dict()),
        (convert_ldm_vae_checkpoint(dict(state), pipeline.vae.config), pipeline.vae.state_dict()),
    ]:
        assert read.keys() == own.keys(), read.keys() ^ own.keys()
        for name, x in read.items():
            assert torch.equal(x.reshape(own[name].shape), own[name].half()), name
    check_clip(pipeline.text_encoder_2, state, "conditioner.embedders.1.model.")
    save(out / "sdxl" / "single.safetensors", state, 0, "weights, not compared")


def write_sd2(out, vocabulary=64):
    """A file of Stable Diffusion 2: OpenCLIP's text encoder, of which diffusers leaves the last layer away."""
    config = text_config(vocabulary, 8, 3, "gelu", eos_token_id=vocabulary - 1)
    whole = randomise(CLIPTextModel(config), seed=60)
    network = UNet2DConditionModel(
        sample_size=8,
        in_channels=8,
        out_channels=4,
        block_out_channels=(4, 4),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        attention_head_dim=(2, 2),
        cross_attention_dim=8,
        use_linear_projection=True,
        norm_num_groups=4,
    )
    network = randomise(network, seed=61)
    # On the way up the attention is at the other level than in XL.
    name = lambda name: unet_name(name).replace("output_blocks.1.2.conv", "output_blocks.1.1.conv")
    state = {"model.diffusion_model." + name(key): x for key, x in network.state_dict().items()}
    state |= dict(vae_state(randomise(vae(levels=2), seed=62)))
    for key, x in open_clip_names(whole).items():
        state["cond_stage_model.model." + key] = x
    # What CLIP is trained with, and Stable Diffusion does not use.
    state["cond_stage_model.model.text_projection"] = torch.eye(8)
    state = half(state)
    read = convert_ldm_unet_checkpoint(dict(state), network.config)
    assert read.keys() == network.state_dict().keys()
    check_clip(whole, state, "cond_stage_model.model.")
    save(out / "sdxl" / "single-sd2.safetensors", state, 0, "weights, not compared")

    small = CLIPTextModel(text_config(vocabulary, 8, 2, "gelu", eos_token_id=vocabulary - 1)).eval()
    rounded = {key: x.half().float() for key, x in whole.state_dict().items() if ".layers.2." not in key}
    small.load_state_dict(rounded)
    ids = torch.randint(0, vocabulary, (1, 12), generator=torch.Generator().manual_seed(63))
    tensors = {"ids": ids, "last_hidden_state": small(ids).last_hidden_state}
    config = json.dumps(small.config.to_diff_dict())
    configs = {"unet": network.to_json_string(), "vae": vae(levels=2).to_json_string(), "text_encoder": config}
    save(out / "sdxl" / "sd2-text.safetensors", tensors, TOLERANCE, REASON, TOLERANCE_GPU, **configs)


@torch.no_grad()
def write(out):
    folder = out / "tiny-sdxl"
    write_folder(folder)
    pipeline = load(folder)
    write_networks(out, load(folder))
    write_edits(out, pipeline)
    write_single(out, pipeline)
    write_sd2(out)
