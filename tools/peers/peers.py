#!/usr/bin/env python3
"""Times a guided step, three branches, and a decode of `ip2p` and of its peers on one checkpoint, in turn, and prints the ratios.

    venv/bin/pip install -r tests/golden/requirements.txt openvino stable-diffusion-cpp-python   # those that are wanted
    cargo build --release
    venv/bin/python tools/peers/peers.py FOLDER --precision bf16 --sizes 512 256 --rounds 3

FOLDER is a checkpoint in diffusers' layout; `tests/golden/full.py` makes one of random weights, on which times are the same.
A peer that is not installed is left out, and said so. Each run is a process of its own, nothing else should run beside it:

- `diffusers`: the U-Net and the decoder as the pipeline calls them, in the precision asked for;
- `openvino`: the same two networks, converted once into FOLDER/openvino-SIZE, with that precision as a hint;
- `stable-diffusion.cpp`: a whole edit by its own pipeline, from a single file: `--single FILE` (`ip2p convert` writes one).
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
PEERS = {"diffusers": "diffusers", "openvino": "openvino", "stable-diffusion.cpp": "stable_diffusion_cpp"}


def ours(arguments, size):
    command = [arguments.ip2p, "bench", "--model", arguments.folder, "--size", f"{size}x{size}", "--steps", arguments.steps]
    command += ["--runs", 1, "--precision", arguments.precision, "--json", "--quiet"]
    printed = subprocess.run([str(part) for part in command], check=True, stdout=subprocess.PIPE).stdout
    report = json.loads(printed)
    parts = {part["name"]: part["median_s"] for part in report["parts"]}
    return {"step_s": parts["step"], "decode_s": parts["decode"], "peak_memory_bytes": report["peak_memory_bytes"]}


def peer(name, arguments, size):
    worker = HERE / f"worker_{PEERS[name]}.py"
    settings = {key: str(value) for key, value in vars(arguments).items()} | {"size": size}
    command = [sys.executable, str(worker), json.dumps(settings)]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=HERE).stdout
    return json.loads(printed.splitlines()[-1])


def compare(name, arguments, size):
    """Pairs of runs, one of each, and the ratio of each pair."""
    ratios = {}
    for _ in range(arguments.rounds):
        theirs, mine = peer(name, arguments, size), ours(arguments, size)
        for part in ("step_s", "decode_s"):
            if theirs.get(part):
                ratios.setdefault(part, []).append(mine[part] / theirs[part])
                row = f"{size}x{size} {arguments.precision} {part[:-2]:6} {name} {theirs[part]:7.3f} s, ip2p {mine[part]:7.3f} s"
                print(f"{row}, ratio {ratios[part][-1]:.3f}", flush=True)
        peaks = [report["peak_memory_bytes"] / 1e9 for report in (theirs, mine)]
        print(f"{size}x{size} peak memory: {name} {peaks[0]:.2f} GB, ip2p {peaks[1]:.2f} GB", flush=True)
    for part, each in ratios.items():
        middle = statistics.median(each)
        print(f"== {size}x{size} {arguments.precision} {part[:-2]}: ip2p / {name} {middle:.3f} ({min(each):.3f} to {max(each):.3f})")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=lambda path: Path(path).resolve())
    parser.add_argument("--ip2p", default=HERE.parents[1] / "target/release/ip2p", type=Path)
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--precision", choices=("f32", "bf16"), default="bf16")
    parser.add_argument("--sizes", nargs="+", type=int, default=[512])
    parser.add_argument("--steps", type=int, default=2, help="steps of a run, the first of a peer's not counted")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--single", type=Path, help="the checkpoint as a single file, for stable-diffusion.cpp")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    for name in arguments.peers:
        if importlib.util.find_spec(PEERS[name]) is None:
            print(f"{name} is not installed: left out")
            continue
        if name == "stable-diffusion.cpp" and not arguments.single:
            print("stable-diffusion.cpp needs --single FILE: left out")
            continue
        for size in arguments.sizes:
            compare(name, arguments, size)


if __name__ == "__main__":
    main()
