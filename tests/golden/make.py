#!/usr/bin/env python3
"""Writes the golden fixtures from the reference libraries.

    python3 -m venv venv && venv/bin/pip install -r tests/golden/requirements.txt
    venv/bin/python tests/golden/make.py            # all of them
    venv/bin/python tests/golden/make.py sched vae  # some

Each topic is a module `gen_<topic>.py` with a function `write(out)`. The fixtures are committed; this is run again
when a reference or a topic changes, and must leave unchanged files as they are.
"""

import importlib
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))
from golden import FIXTURES  # noqa: E402


def main():
    # The order of summation, and with it the last digit, depends on the number of threads.
    torch.set_num_threads(1)
    topics = sys.argv[1:] or sorted(path.stem[len("gen_") :] for path in Path(__file__).parent.glob("gen_*.py"))
    # The other topics may read the tiny checkpoint.
    for topic in sorted(topics, key=lambda topic: topic != "tiny"):
        print(topic, flush=True)
        importlib.import_module(f"gen_{topic}").write(FIXTURES)


if __name__ == "__main__":
    main()
