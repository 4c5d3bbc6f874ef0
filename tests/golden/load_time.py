#!/usr/bin/env python3
"""How long a checkpoint takes until it is ready to edit, and how much memory: a single file against a folder, and with a LoRA.

    cargo build --release
    venv/bin/python tests/golden/load_time.py FOLDER --work DIR [--rounds 5]

FOLDER is the one that full.py makes, of Stable Diffusion 1.5's size. In DIR, which needs 9 GB, are left: the same weights in f16, as a
single file, as a folder and as GGUF, and a LoRA of rank 64 for all of the attention's layers and the text encoder's. Asked for are: a
single file within 1.3 times the folder's time in bf16; a LoRA for under 3 s; one copy of the result and 300 MB in memory.
"""

import argparse
import json
import statistics
import subprocess
import time
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

RANK = 64
PHOTO = Path(__file__).parents[2] / "examples" / "photo.jpg"


def run(*command):
    """What a command prints, its seconds and its peak memory in bytes (Linux)."""
    start = time.perf_counter()
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True)
    peak = 0
    while process.poll() is None:
        try:
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            # It only grows, and the first may be that of this process.
            peak = next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM")), peak)
        except (FileNotFoundError, ProcessLookupError):
            pass
        time.sleep(0.01)
    assert process.returncode == 0, command
    return process.stdout.read(), time.perf_counter() - start, peak


def make_lora(folder, path):
    """kohya's names, random factors."""
    generator = torch.Generator().manual_seed(5)
    tensors = {}

    def add(prefix, name, shape):
        key = f"{prefix}_{name.replace('.', '_')}"
        down, up = (RANK, *shape[1:]), (shape[0], RANK, *(1 for _ in shape[2:]))
        tensors[f"{key}.lora_down.weight"] = (0.01 * torch.randn(down, generator=generator)).half()
        tensors[f"{key}.lora_up.weight"] = (0.01 * torch.randn(up, generator=generator)).half()
        tensors[f"{key}.alpha"] = torch.tensor(RANK / 2)

    parts = [("unet/diffusion_pytorch_model", "lora_unet"), ("text_encoder/model", "lora_te")]
    for file, prefix in parts:
        with safe_open(folder / f"{file}.safetensors", "pt") as weights:
            for name in sorted(weights.keys()):
                shape = weights.get_slice(name).get_shape()
                is_wanted = "attentions" in name if prefix == "lora_unet" else "self_attn" in name or "mlp" in name
                if name.endswith(".weight") and len(shape) > 1 and is_wanted:
                    layer = name.removesuffix(".weight").removeprefix("text_model.")
                    add(prefix, layer if prefix == "lora_unet" else f"text_model.{layer}", shape)
    save_file(tensors, path)


def make(ip2p, folder, work):
    file, half, gguf, lora = (work / name for name in ["f16.safetensors", "f16", "q8_0.gguf", "lora.safetensors"])
    for source, output, precision in [(folder, file, "f16"), (file, half, "f16"), (file, gguf, "q8_0")]:
        if not output.exists():
            _, seconds, peak = run(ip2p, "convert", source, output, "--precision", precision, "--quiet")
            print(f"convert {source.name} to {output.name}: {seconds:.1f} s, peak {peak / 1e6:.0f} MB", flush=True)
    if not lora.exists():
        make_lora(folder, lora)
    return file, half, gguf, lora


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--ip2p", default=Path(__file__).parents[2] / "target/release/ip2p", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    file, half, gguf, lora = make(arguments.ip2p, arguments.folder, arguments.work)
    cases = {"folder": [half], "file": [file], "file with LoRA": [file, "--lora", lora], "GGUF in q8_0": [gguf]}
    result = sum(path.stat().st_size for path in half.glob("*/*.safetensors"))
    seconds = {name: [] for name in cases}
    walls = {name: [] for name in cases}
    # The first round fills the cache of the disk.
    for round_ in range(arguments.rounds + 1):
        for name, (model, *more) in cases.items():
            edit = [arguments.ip2p, "edit", PHOTO, "make it snowy", "-o", arguments.work / "out.png", "--model", model, *more]
            edit += ["--precision", "bf16", "--steps", "1", "--size", "64", "--json", "--quiet"]
            printed, wall, _ = run(*edit)
            report = json.loads(printed)
            peak = report["peak_memory_bytes"]
            if round_ == 0:
                print(f"{name}: peak {peak / 1e6:.0f} MB, {(peak - result) / 1e6:+.0f} MB over the weights", flush=True)
                continue
            seconds[name].append(report["times"]["load_s"])
            walls[name].append(wall)
    for name, times in seconds.items():
        listed = " ".join(f"{s:.2f}" for s in times)
        print(f"{name}: ready after {statistics.median(times):.2f} s ({listed}), the whole command {statistics.median(walls[name]):.2f} s")
    ratios = [file / folder for file, folder in zip(seconds["file"], seconds["folder"])]
    print(f"file / folder: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    costs = [with_lora - without for with_lora, without in zip(walls["file with LoRA"], walls["file"])]
    print(f"the LoRA costs {statistics.median(costs):.2f} s ({min(costs):.2f} to {max(costs):.2f}) of the whole command")


if __name__ == "__main__":
    main()
