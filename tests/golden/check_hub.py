#!/usr/bin/env python3
"""Checks that ip2p and Python's huggingface_hub and diffusers share one cache, on a hub on this machine.

    cargo build && cargo build -p ip2p-hub --example loopback
    venv/bin/python tests/golden/check_hub.py target/debug
"""

import filecmp
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

FIXTURES = Path(__file__).parent / "fixtures"
TINY = FIXTURES / "tiny-ip2p"
ID = "org/tiny-ip2p"


def main():
    binaries = Path(sys.argv[1]).resolve()
    server = subprocess.Popen(
        [binaries / "examples/loopback", TINY, ID], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    endpoint, commit = server.stdout.readline().strip(), server.stdout.readline().strip()
    # Read when the library is imported.
    os.environ["HF_ENDPOINT"] = endpoint
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ.pop("HF_HUB_OFFLINE", None)
    try:
        with tempfile.TemporaryDirectory() as folder:
            check(binaries / "ip2p", endpoint, commit, Path(folder))
    finally:
        server.stdin.close()
        server.wait()


def check(ip2p, endpoint, commit, folder):
    import diffusers
    import huggingface_hub
    from diffusers import StableDiffusionInstructPix2PixPipeline as Pipeline
    from huggingface_hub import scan_cache_dir, snapshot_download
    from huggingface_hub.utils import WeakFileLock

    answered = 0

    def requests():
        """The requests since the last call."""
        nonlocal answered
        with urllib.request.urlopen(f"{endpoint}/requests") as answer:
            lines = json.load(answer)
        new = [line for line in lines[answered:] if line != "GET /requests"]
        answered = len(lines)
        return new

    def run(home, *arguments, **variables):
        environment = os.environ | {"HF_HOME": str(home)} | variables
        environment.pop("HF_HUB_CACHE", None)
        done = subprocess.run([ip2p, *arguments], env=environment, check=True, capture_output=True, text=True)
        return done.stdout

    def same(found):
        files = sorted(str(path.relative_to(TINY)) for path in TINY.rglob("*") if path.is_file())
        assert sorted(str(path.relative_to(found)) for path in Path(found).rglob("*") if path.is_file()) == files
        assert filecmp.cmpfiles(TINY, found, files, shallow=False)[0] == files

    # Ours, read by them.
    ours = folder / "ours"
    pulled = run(ours, "pull", ID, "-q").strip()
    assert Path(pulled) == ours / "hub" / "models--org--tiny-ip2p" / "snapshots" / commit, pulled
    requests()
    found = snapshot_download(ID, cache_dir=ours / "hub", local_files_only=True)
    assert Path(found) == Path(pulled), found
    same(found)
    scanned = scan_cache_dir(ours / "hub")
    assert not scanned.warnings and not scanned.incomplete_files, scanned.warnings
    (repo,) = scanned.repos
    (revision,) = repo.revisions
    assert (repo.repo_id, revision.commit_hash, revision.refs) == (ID, commit, {"main"}), revision
    Pipeline.from_pretrained(ID, cache_dir=ours / "hub", local_files_only=True)
    assert requests() == []
    # Online they ask for news, and fetch nothing again.
    snapshot_download(ID, cache_dir=ours / "hub")
    Pipeline.from_pretrained(ID, cache_dir=ours / "hub")
    fetched = [line for line in requests() if line.startswith("GET") and "/resolve/" in line or "/lfs/" in line]
    assert fetched == [], fetched
    # Both count the same bytes; ours has the listing that they keep, and the reference, beside the blobs.
    (model,) = json.loads(run(ours, "models", "--json"))
    assert (model["id"], model["revisions"][0]["bytes"]) == (ID, repo.size_on_disk), model

    # Theirs, used by us.
    theirs = folder / "theirs"
    snapshot_download(ID, cache_dir=theirs / "hub")
    requests()
    picture = folder / "photo.png"
    from PIL import Image

    Image.linear_gradient("L").convert("RGB").resize((64, 64)).save(picture)
    edit = ["edit", picture, "make it snowy", "--model", ID, "--steps", "1", "--size", "64", "-o", folder / "out.png"]
    run(theirs, *edit)
    assert requests() == [f"GET /api/models/{ID}/revision/main?blobs=true"]
    run(theirs, *edit, HF_HUB_OFFLINE="1")
    assert requests() == []
    run(theirs, "rm", ID)
    assert not scan_cache_dir(theirs / "hub").repos

    # Who holds the lock is waited for.
    blob = next((ours / "hub").rglob("blobs/*")).name
    (ours / "hub" / "models--org--tiny-ip2p" / "blobs" / blob).unlink()
    with WeakFileLock(ours / "hub" / ".locks" / "models--org--tiny-ip2p" / f"{blob}.lock"):
        waiting = subprocess.Popen(
            [ip2p, "pull", ID, "-q"], env=os.environ | {"HF_HOME": str(ours)}, stdout=subprocess.DEVNULL
        )
        time.sleep(2)
        assert waiting.poll() is None, "it did not wait"
    assert waiting.wait(timeout=30) == 0
    same(pulled)
    print(f"one cache for ip2p, huggingface_hub {huggingface_hub.__version__} and diffusers {diffusers.__version__}")


if __name__ == "__main__":
    main()
