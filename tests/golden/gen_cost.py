"""How many multiply-adds each network makes, counted by PyTorch: of the fixtures' small networks, and of Stable Diffusion's."""

import json

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from gen_unet import CONFIGS
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPTextConfig, CLIPTextModel

SD1_UNET = dict(in_channels=8, cross_attention_dim=768)
SD1_VAE = dict(
    block_out_channels=(128, 256, 512, 512),
    down_block_types=("DownEncoderBlock2D",) * 4,
    up_block_types=("UpDecoderBlock2D",) * 4,
    layers_per_block=2,
)
SMALL_VAE = dict(
    block_out_channels=(8, 16),
    down_block_types=("DownEncoderBlock2D",) * 2,
    up_block_types=("UpDecoderBlock2D",) * 2,
    norm_num_groups=4,
    use_quant_conv=False,
    use_post_quant_conv=False,
    mid_block_add_attention=False,
)
SMALL_TAESD = dict(
    encoder_block_out_channels=(8, 8),
    decoder_block_out_channels=(12, 12),
    num_encoder_blocks=(1, 2),
    num_decoder_blocks=(3, 0),
)
SDXL_UNET = dict(
    in_channels=8,
    block_out_channels=(320, 640, 1280),
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    transformer_layers_per_block=(1, 2, 10),
    attention_head_dim=(5, 10, 20),
    cross_attention_dim=2048,
    use_linear_projection=True,
    addition_embed_type="text_time",
    addition_time_embed_dim=256,
    projection_class_embeddings_input_dim=2816,
)
SD1_TEXT = dict(hidden_size=768, intermediate_size=3072, num_attention_heads=12)


def macs(run):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        run()
    return counter.get_total_flops() // 2


def plain_attention(model):
    """Products that are counted, instead of one fused call."""
    model.set_attn_processor(AttnProcessor())
    return model


def case(network, config, model, batch, size, run):
    row = {"network": network, "config": json.loads(config), "batch": batch, "size": size}
    return row | {"macs": macs(lambda: run(model, batch, size))}


def write(out):
    rows = []

    def unet(config, batch, size, tokens):
        model = plain_attention(UNet2DConditionModel(**config))

        def run(model, n, size):
            config = model.config
            context = torch.empty(n, tokens, config.cross_attention_dim)
            added = None
            if config.addition_embed_type:
                text = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
                added = {"text_embeds": torch.empty(n, text), "time_ids": torch.empty(n, 6)}
            model(torch.empty(n, config.in_channels, *size), torch.empty(n), context, added_cond_kwargs=added)

        rows.append(case("unet", model.to_json_string(), model, batch, size, run) | {"tokens": tokens})

    def vae(kind, config, batch, size):
        model = kind(**config)
        model = plain_attention(model) if kind is AutoencoderKL else model
        encode = lambda model, n, size: model.encode(torch.empty(n, 3, *size))
        decode = lambda model, n, size: model.decode(torch.empty(n, 4, *size))
        rows.append(case("vae encode", model.to_json_string(), model, batch, size, encode))
        factor = 2 ** (len(model.config.get("block_out_channels") or model.config.encoder_block_out_channels) - 1)
        rows.append(case("vae decode", model.to_json_string(), model, batch, [side // factor for side in size], decode))

    def text(config, batch, tokens):
        config = CLIPTextConfig(**config, attn_implementation="eager")
        model = CLIPTextModel(config)
        run = lambda model, n, size: model(torch.zeros(n, size[0], dtype=torch.long))
        rows.append(case("text_encoder", config.to_json_string(), model, batch, [tokens, 1], run))

    with torch.device("meta"):
        for config in CONFIGS.values():
            unet(config, 2, [12, 8], 6)
        unet(CONFIGS["conv"], 1, [5, 7], 6)
        unet(SD1_UNET, 3, [64, 64], 77)
        unet(SDXL_UNET, 3, [96, 96], 77)
        vae(AutoencoderKL, SD1_VAE, 1, [512, 512])
        vae(AutoencoderKL, SMALL_VAE, 2, [16, 24])
        vae(AutoencoderTiny, {}, 1, [512, 512])
        vae(AutoencoderTiny, SMALL_TAESD, 2, [16, 24])
        text(SD1_TEXT, 2, 77)
    (out / "cost").mkdir(parents=True, exist_ok=True)
    (out / "cost" / "macs.json").write_text(json.dumps(rows, indent=1, sort_keys=True) + "\n")
