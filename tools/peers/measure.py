"""What the workers share: their settings, a clock, and how they report."""

import json
import resource
import sys
import time

CONTEXT = (3, 77, 768)


def settings():
    return json.loads(sys.argv[1])


def seconds(run):
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def best(run, times):
    """The shortest of some runs, after one that is not counted."""
    run()
    return min(seconds(run) for _ in range(times))


def report(**parts):
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps(parts | {"peak_memory_bytes": peak}))
