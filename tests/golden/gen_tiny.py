"""The tiny checkpoints: InstructPix2Pix folders as diffusers writes them, with random weights.

`tiny-ip2p` is small in everything and otherwise like the ones on the hub; `tiny-taesd` has an `AutoencoderTiny` of three
levels, predicts the velocity, holds 16-bit weights alone, and has an `ip2p.json` that says how an edit is made by default.
"""

import json
import shutil
from collections import Counter

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    EulerAncestralDiscreteScheduler,
    StableDiffusionInstructPix2PixPipeline,
    UNet2DConditionModel,
)
from golden import randomise
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

SENTENCES = """make it snowy; remove the flower in the top left corner; turn the car red; add a hat to the man on the
right; what would it look like in winter?; as a watercolour painting; replace the sky with a sunset; make her smile"""


def byte_alphabet():
    """The 256 printable stand-ins for bytes that GPT-2's and CLIP's tokenizers use."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = (chr(256 + i) for i in range(256))
    table = {byte: chr(byte) if byte in printable else next(others) for byte in range(256)}
    # CLIP numbers the printable ones first.
    return [table[byte] for byte in printable] + [table[byte] for byte in range(256) if byte not in printable]


def learn_merges(text, count):
    """Plain byte-pair encoding over the words of `text`."""
    words = Counter(tuple(word[:-1]) + (word[-1] + "</w>",) for word in text.replace(";", " ").split())
    merges = []
    while len(merges) < count and any(len(word) > 1 for word in words):
        pairs = Counter()
        for word, n in words.items():
            for pair in zip(word, word[1:]):
                pairs[pair] += n
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        merged = Counter()
        for word, n in words.items():
            out, i = [], 0
            while i < len(word):
                step = 2 if tuple(word[i : i + 2]) == best else 1
                out.append("".join(word[i : i + step]))
                i += step
            merged[tuple(out)] += n
        words = merged
    return merges


def write_tokenizer(folder):
    """Vocabulary and merges in the layout of the hub's Stable Diffusion folders."""
    folder.mkdir(parents=True)
    alphabet = byte_alphabet()
    merges = learn_merges(SENTENCES, 120)
    tokens = [*alphabet, *(symbol + "</w>" for symbol in alphabet), *("".join(pair) for pair in merges)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    special = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}
    special["pad_token"] = "<|endoftext|>"
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=2))
    config = {"model_max_length": 77, "tokenizer_class": "CLIPTokenizer", "do_lower_case": True, **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2))
    return len(tokens)


def text_encoder(vocabulary):
    config = CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=77,
        hidden_act="quick_gelu",
        bos_token_id=vocabulary - 2,
        eos_token_id=vocabulary - 1,
        pad_token_id=vocabulary - 1,
    )
    return randomise(CLIPTextModel(config), seed=1)


def unet():
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=8,
        out_channels=4,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        attention_head_dim=2,
        cross_attention_dim=32,
        norm_num_groups=4,
    )


def vae():
    return AutoencoderKL(
        block_out_channels=(8, 8, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=128,
    )


def taesd():
    # The channels differ between the halves, and a level has no blocks.
    return AutoencoderTiny(
        encoder_block_out_channels=(8,) * 3,
        num_encoder_blocks=(1, 1, 3),
        decoder_block_out_channels=(12,) * 3,
        num_decoder_blocks=(3, 2, 0),
    )


def small_unet():
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=8,
        out_channels=4,
        block_out_channels=(8, 8, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=2,
        cross_attention_dim=32,
        norm_num_groups=4,
    )


def scheduler(**settings):
    # What the hub's Stable Diffusion 1 folders have.
    return EulerAncestralDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1, **settings
    )


def write_folder(folder, vae, unet, scheduler, variant=None):
    shutil.rmtree(folder, ignore_errors=True)
    tokenizer = folder.with_name(f"{folder.name}-tokenizer")
    vocabulary = write_tokenizer(tokenizer)
    pipeline = StableDiffusionInstructPix2PixPipeline(
        vae=randomise(vae, seed=2),
        text_encoder=text_encoder(vocabulary),
        tokenizer=CLIPTokenizer.from_pretrained(tokenizer),
        unet=randomise(unet, seed=3),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    if variant == "fp16":
        pipeline.to(torch.float16)
    pipeline.save_pretrained(folder, variant=variant)
    # transformers 5 writes `tokenizer.json` alone; the hub's folders have the two older files.
    shutil.rmtree(folder / "tokenizer")
    shutil.move(tokenizer, folder / "tokenizer")
    ids = CLIPTokenizer.from_pretrained(folder / "tokenizer")("make it snowy", padding="max_length").input_ids
    assert len(ids) == 77 and ids[0] == vocabulary - 2, ids
    with torch.no_grad():
        StableDiffusionInstructPix2PixPipeline.from_pretrained(folder, variant=variant)


def write(out):
    write_folder(out / "tiny-ip2p", vae(), unet(), scheduler())
    velocity = scheduler(prediction_type="v_prediction")
    write_folder(out / "tiny-taesd", taesd(), small_unet(), velocity, variant="fp16")
    defaults = {"steps": 3, "sampler": "dpmpp-2m", "longer_side": 64}
    (out / "tiny-taesd" / "ip2p.json").write_text(json.dumps(defaults, indent=2) + "\n")
