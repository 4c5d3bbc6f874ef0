"""Token ids of the tiny checkpoint's tokenizer, in each of the forms that such folders have on the hub."""

import json
import shutil
import tempfile
from pathlib import Path

import torch
from golden import save
from transformers import CLIPTokenizer

LONG = "make it snowy and remove the flower in the top left corner; " * 8

TEXTS = [
    "",
    " ",
    "make it snowy",
    "  Make\tIT \n SNOWY!!  ",
    "turn the car red, then (add) a hat; what's left?",
    "don't, I'LL, we've, they're, it'd, I'm, 'tis",
    "rock'n'roll 'S 'RE ''s",
    "3rd of 2024: 1,000.5 ½ ² ٣ Ⅷ",
    "naïve café façade Ångström İstanbul ǅungla ß ﬁ",
    "cafe\u0301 A\u030angstro\u0308m",
    "日本の冬景色にする 눈이 오게 해줘 сделай зиму جعلها ثلجية",
    "add a 🐈 and 👩‍👩‍👧‍👦 🏳️‍🌈 ❤️",
    "tab\x0bfeed\x0cnull\x00bell\x07del\x7f nel\x85 nbsp\xa0 zwsp\u200b bom\ufeff ls\u2028 ideographic\u3000end",
    "a-b_c/d\\e@f#g$h%i^j&k*l+m=n~o`p|q<r>s{t}[u]",
    "“curly” ‘quotes’ — dashes… and «more»",
    "<|startoftext|>make it <|endoftext|> snowy<|ENDOFTEXT|>",
    "!! hat! !",
    LONG,
    " ".join(["hat"] * 75),
    " ".join(["hat"] * 76),
    LONG + "日本 <|endoftext|> café!",
    " ".join(["hat"] * 75) + " \x1c\x1f lost\x1e",
]


def described(content, normalized):
    return {"content": content, "lstrip": False, "normalized": normalized, "rstrip": False, "single_word": False}


def forms(tiny, scratch):
    """Folders with the same vocabulary: the tiny one, one like Stable Diffusion 2's, and one that transformers 5 saves."""
    yield "sd1", tiny

    sd2 = scratch / "sd2"
    shutil.copytree(tiny, sd2)
    start, end = described("<|startoftext|>", True), described("<|endoftext|>", True)
    special = {"bos_token": start, "eos_token": end, "unk_token": end, "pad_token": "!"}
    (sd2 / "special_tokens_map.json").write_text(json.dumps(special))
    yield "sd2", sd2

    unified = scratch / "unified"
    CLIPTokenizer.from_pretrained(sd2).save_pretrained(unified)
    for name in ["vocab.json", "merges.txt"]:
        (unified / name).unlink(missing_ok=True)
    yield "unified", unified


def write(out):
    tensors, metadata = {}, {"texts": json.dumps(TEXTS)}
    with tempfile.TemporaryDirectory() as scratch:
        for form, folder in forms(out / "tiny-ip2p" / "tokenizer", Path(scratch)):
            tokenizer = CLIPTokenizer.from_pretrained(folder)
            assert tokenizer.model_max_length == 77
            tensors[f"{form}.ids"] = tokenizer(
                TEXTS, padding="max_length", max_length=77, truncation=True, return_tensors="pt"
            ).input_ids
            whole = [tokenizer(text).input_ids for text in TEXTS]
            # The words of diffusers' warning: StableDiffusionInstructPix2PixPipeline._encode_prompt.
            cut = [tokenizer.decode(ids[76:-1]) if len(ids) > 77 else None for ids in whole]
            metadata[f"{form}.truncated"] = json.dumps(cut)
            for file in sorted(folder.glob("*")):
                if form != "sd1":
                    data = torch.frombuffer(bytearray(file.read_bytes()), dtype=torch.uint8)
                    tensors[f"{form}/{file.name}"] = data
    save(out / "tokenizer" / "clip.safetensors", tensors, tolerance=0, reason="ids are whole numbers", **metadata)
