#!/usr/bin/env python3
"""What each short cut saves and what it costs: time of a whole edit against the distance from the exact picture, as a table and a plot.

    venv/bin/pip install numpy pillow
    cargo build --release
    venv/bin/python tools/short_cuts/short_cuts.py FOLDER --photos PHOTOS --plot docs/short-cuts.svg

FOLDER is a trained checkpoint, for noise has no nearness to speak of, and one that makes many steps: the small one that comes with `ip2p` makes
one. Every setting edits each photo by each sentence with one seed; the exact picture is that of all steps, guided and whole. Times hang on
shapes alone: `--timed` takes them of another checkpoint, such as one of the full size with random weights.
"""

import argparse
import json
import math
import statistics
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

EXACT = ["--sampler", "dpmpp-2m", "--steps", "20"]
SENTENCES = ["make it snowy", "make it night", "turn it into a pencil sketch", "make it autumn"]
SETTINGS = {
    "exact": [],
    "--guidance-interval 0..0.8": ["--guidance-interval", "0..0.8"],
    "--guidance-interval 0..0.6": ["--guidance-interval", "0..0.6"],
    "--adaptive-guidance 0.999": ["--adaptive-guidance", "0.999"],
    "--deep-cache 2": ["--deep-cache", "2"],
    "--deep-cache 3": ["--deep-cache", "3"],
    "--deep-cache 5": ["--deep-cache", "5"],
    "--steps 10": ["--steps", "10"],
    "--steps 5": ["--steps", "5"],
    "--deep-cache 2 --guidance-interval 0..0.6": ["--deep-cache", "2", "--guidance-interval", "0..0.6"],
    "--fast": ["--steps", "10", "--deep-cache", "2", "--guidance-interval", "0..0.6"],
}


def with_exact(arguments, setting):
    """The options of the exact picture but for those that are given."""
    scales = ["--text-scale", arguments.text_scale, "--image-scale", arguments.image_scale]
    pairs = dict(zip(EXACT[::2], EXACT[1::2])) | dict(zip(setting[::2], setting[1::2]))
    return [part for pair in pairs.items() for part in pair] + scales


def run(command):
    return subprocess.run([str(part) for part in command], check=True, stdout=subprocess.PIPE).stdout


def seconds(arguments, setting):
    command = [arguments.ip2p, "bench", "--model", arguments.timed or arguments.folder, "--precision", arguments.precision]
    command += ["--size", arguments.timed_size or arguments.size, "--runs", 1, "--json", "--quiet"]
    report = json.loads(run(command + with_exact(arguments, setting)))
    return next(part["median_s"] for part in report["parts"] if part["name"] == "edit")


def pictures(arguments, setting, folder):
    found = []
    for sentence in SENTENCES:
        output = folder / sentence.replace(" ", "-")
        command = [arguments.ip2p, "batch", arguments.photos, sentence, "-o", output, "--model", arguments.folder, "--seed", 7]
        command += ["--precision", arguments.precision, "--size", arguments.size, "--keep-model-size", "--detail", "model", "--quiet"]
        run(command + with_exact(arguments, setting))
        for path in sorted(output.glob("*.png")):
            found.append(np.asarray(Image.open(path).convert("RGB"), dtype=np.float64))
    return found


def psnr(a, b):
    error = np.mean((a - b) ** 2)
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def plot(rows, path):
    """Share of the time across, distance up."""
    width, height, left, bottom = 760, 440, 60, 50
    distances = [distance for _, _, distance in rows if math.isfinite(distance)]
    low, high = math.floor(min(distances) / 5) * 5, math.ceil(max(distances) / 5) * 5
    x = lambda share: left + (width - left - 20) * share
    y = lambda distance: height - bottom - (height - bottom - 20) * (distance - low) / (high - low)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">']
    parts.append(f'<rect width="{width}" height="{height}" fill="white"/>')
    for tenth in range(0, 11, 2):
        parts.append(f'<line x1="{x(tenth / 10):.0f}" y1="20" x2="{x(tenth / 10):.0f}" y2="{height - bottom}" stroke="#ddd"/>')
        parts.append(f'<text x="{x(tenth / 10):.0f}" y="{height - bottom + 18}" text-anchor="middle">{tenth / 10}</text>')
    for distance in range(low, high + 1, 5):
        parts.append(f'<line x1="{left}" y1="{y(distance):.0f}" x2="{width - 20}" y2="{y(distance):.0f}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 8}" y="{y(distance) + 4:.0f}" text-anchor="end">{distance}</text>')
    parts.append(f'<text x="{(left + width) / 2:.0f}" y="{height - 12}" text-anchor="middle">time, exact = 1</text>')
    parts.append(f'<text transform="translate(18 {height / 2:.0f}) rotate(-90)" text-anchor="middle">PSNR to the exact picture, dB</text>')
    for name, share, distance in rows:
        if not math.isfinite(distance):
            continue
        parts.append(f'<circle cx="{x(share):.1f}" cy="{y(distance):.1f}" r="4" fill="#06c"/>')
        before = share > 0.75 or len(name) > 30
        at = x(share) + (-8 if before else 8)
        anchor = "end" if before else "start"
        parts.append(f'<text x="{at:.1f}" y="{y(distance) + 4:.1f}" text-anchor="{anchor}">{name}</text>')
    path.write_text("\n".join(parts + ["</svg>"]) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="a trained checkpoint")
    parser.add_argument("--photos", required=True, help="a folder of photos to edit")
    parser.add_argument("--ip2p", default="target/release/ip2p")
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--size", default="256x256")
    parser.add_argument("--text-scale", default="7.5")
    parser.add_argument("--image-scale", default="1.5")
    parser.add_argument("--timed", help="the checkpoint whose times are taken, default FOLDER")
    parser.add_argument("--timed-size", help="the size at which they are, default that of the pictures")
    parser.add_argument("--plot", type=Path, help="an SVG file to write")
    arguments = parser.parse_args()
    rows, exact, whole = [], None, None
    print("| setting | time | share | PSNR, median | least |\n| --- | --- | --- | --- | --- |")
    for name, setting in SETTINGS.items():
        with tempfile.TemporaryDirectory() as folder:
            found = pictures(arguments, setting, Path(folder))
        time = seconds(arguments, setting)
        exact, whole = exact or found, whole or time
        distances = [psnr(a, b) for a, b in zip(found, exact, strict=True)]
        rows.append((name, time / whole, statistics.median(distances)))
        least = min(distances)
        print(f"| `{name}` | {time:.1f} s | {time / whole:.2f} | {rows[-1][2]:.1f} dB | {least:.1f} dB |", flush=True)
    if arguments.plot:
        plot(rows, arguments.plot)


if __name__ == "__main__":
    main()
