#!/usr/bin/env python3
"""Draws docs/where.jpg: photos, edits of all of them, edits with --where auto, and the places that it found.

    python3 docs/where.py target/release/ip2p

Needs Pillow; the model is the small one that comes with the command.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parent.parent
SIDE, GAP, PAPER = 256, 6, "white"


def scene(ip2p, folder, seed):
    """The picture before of a drawn scene that training did not see: the left one of its sheet."""
    sheet = folder / "sheet.png"
    command = [ip2p, "data", "preview", "-o", sheet, "--count", "1", "--columns", "1", "--size", str(SIDE)]
    subprocess.run([*command, "--seed", str(seed)], check=True)
    path = folder / f"scene-{seed}.png"
    Image.open(sheet).convert("RGB").crop((16, 16, 16 + SIDE, 16 + SIDE)).save(path)
    return path


def row(ip2p, folder, photo, sentence):
    files = [folder / f"{name}.png" for name in ("plain", "auto", "map")]
    edit = [ip2p, "edit", photo, sentence, "--seed", "0", "--quiet", "-o"]
    subprocess.run([*edit, files[0]], check=True)
    subprocess.run([*edit, files[1], "--where", "auto", "--show-mask", files[2]], check=True)
    pictures = [Image.open(file).convert("RGB") for file in [photo, *files]]
    height = round(SIDE * pictures[0].height / pictures[0].width)
    return [picture.resize((SIDE, height), Image.Resampling.LANCZOS) for picture in pictures]


def main():
    ip2p = str(Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        rows = [
            row(ip2p, folder, scene(ip2p, folder, 909), "remove the red sun"),
            row(ip2p, folder, ROOT / "examples/photo.jpg", "add a red balloon at the top left"),
        ]
    width = 4 * SIDE + 3 * GAP
    height = sum(pictures[0].height for pictures in rows) + GAP * (len(rows) - 1)
    drawn = Image.new("RGB", (width, height), PAPER)
    y = 0
    for pictures in rows:
        for column, picture in enumerate(pictures):
            drawn.paste(picture, (column * (SIDE + GAP), y))
        y += pictures[0].height + GAP
    drawn.save(ROOT / "docs/where.jpg", quality=88)


if __name__ == "__main__":
    main()
