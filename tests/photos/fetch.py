"""Fetches the photographs of ip2p-data/photos.md into TARGET/train and TARGET/eval.

    python3 tests/photos/fetch.py TARGET

Needs git, apt-get and dpkg (Debian or Ubuntu, with the archive's keyring), and Pillow. What was downloaded stays in TARGET/sources, so that a
second run is quick.
"""

import bz2
import pathlib
import re
import subprocess
import sys
import zipfile

from PIL import Image, ImageOps

TABLE = pathlib.Path(__file__).parents[2] / "ip2p-data" / "photos.md"
LONGEST = 1600
QUALITY = 92
FACE = (1024, 768)  # face.dat: these pixels, row by row, in bzip2
DEBIAN = "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bookworm main\n"


def rows():
    """The rows of the table: name, set and source."""
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip().strip("`") for cell in line.split("|")[1:-1]]
        if len(cells) == 5 and cells[1] in ("train", "eval"):
            yield cells[0], cells[1], cells[4]


def run(*command, cwd=None):
    subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.PIPE)


class Sources:
    """Where packages and repositories are unpacked, each once."""

    def __init__(self, folder):
        self.folder = folder
        self.apt = None

    def file(self, source):
        """The path of a source's file on this machine."""
        kind, rest = source.split(":", 1)
        package, path = rest.split(":", 1)
        unpacked = self.folder / kind / re.sub(r"[^\w.=-]", "_", package)
        if not (unpacked / path).exists():
            unpacked.mkdir(parents=True, exist_ok=True)
            getattr(self, kind)(unpacked, package, path)
        return unpacked / path

    def debian(self, unpacked, package, _):
        if self.apt is None:
            self.apt = self.private_apt()
        run("apt-get", *self.apt, "download", package, cwd=unpacked)
        run("dpkg", "-x", str(next(unpacked.glob("*.deb"))), str(unpacked))

    def private_apt(self):
        """Options with which apt-get knows Debian 12 and nothing else, and changes nothing outside the folder."""
        home = (self.folder / "apt").resolve()
        for needed in ("lists/partial", "cache/archives/partial"):
            (home / needed).mkdir(parents=True, exist_ok=True)
        (home / "sources.list").write_text(DEBIAN)
        settings = {
            "Dir::Etc::sourcelist": home / "sources.list",
            "Dir::Etc::sourceparts": "-",
            "Dir::State::lists": home / "lists",
            "Dir::Cache": home / "cache",
            "APT::Sandbox::User": "root",
        }
        options = [part for key, value in settings.items() for part in ("-o", f"{key}={value}")]
        run("apt-get", *options, "update")
        return options

    def pypi(self, unpacked, package, _):
        wheel = ["--only-binary=:all:", "--python-version=3.12", "--platform=manylinux2014_x86_64", "--platform=manylinux_2_28_x86_64"]
        run(sys.executable, "-m", "pip", "download", "-q", "--no-deps", *wheel, "-d", str(unpacked), package)
        with zipfile.ZipFile(next(unpacked.glob("*.whl"))) as archive:
            archive.extractall(unpacked)

    def git(self, unpacked, package, path):
        repository, commit = package.split("@")
        clone = self.folder / "git" / repository.replace("/", "+")
        if not clone.exists():
            run("git", "clone", "-q", "--bare", "--filter=blob:none", f"https://github.com/{repository}", str(clone))
        (unpacked / path).parent.mkdir(parents=True, exist_ok=True)
        shown = subprocess.run(["git", "-C", str(clone), "show", f"{commit}:{path}"], check=True, stdout=subprocess.PIPE)
        (unpacked / path).write_bytes(shown.stdout)


def read(path):
    if path.suffix == ".dat":
        return Image.frombytes("RGB", FACE, bz2.decompress(path.read_bytes()))
    return ImageOps.exif_transpose(Image.open(path)).convert("RGB")


def main():
    target = pathlib.Path(sys.argv[1])
    sources = Sources(target / "sources")
    for name, part, source in rows():
        picture = read(sources.file(source))
        picture.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
        (target / part).mkdir(parents=True, exist_ok=True)
        picture.save(target / part / f"{name}.jpg", quality=QUALITY)
        print(f"{part}/{name}.jpg {picture.width}x{picture.height}")


if __name__ == "__main__":
    main()
