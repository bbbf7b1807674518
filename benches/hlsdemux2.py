#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""What p2phlssrc without peers costs, against GStreamer's own hlsdemux2.

Both read the same VOD stream (300 s, 8 Mbit/s, 6 s TS segments) from an nginx on this machine as
fast as they can, in turns, so that other load hits them alike. Counted are the CPU time and the
peak memory of the whole gst-launch-1.0 process; compared are medians.

    benches/hlsdemux2.py      after examples/demo.sh, which builds the plugin into target/plugins

Ends with code 1 when a ratio is above the target. The stream is kept in target/bench.
"""

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "examples"))

from lab.origin import Origin
from lab.process import LabError, program
from lab.stream import make_vod

TARGET = 1.5

# hlsdemux2 pushes all its pads from one thread, which must not wait in a sink that prerolls.
SINK = "fakesink sync=false async=false"
# It always parses what it demuxes, so the last line does so, too.
CASES = {
    "hlsdemux2": f"urisourcebin uri={{url}} name=s s. ! {SINK} s. ! {SINK}",
    "p2phlssrc, bytes": f"p2phlssrc location={{url}} p2p=off ! {SINK}",
    "p2phlssrc, parsed": f"p2phlssrc location={{url}} p2p=off ! parsebin name=s s. ! {SINK} s. ! {SINK}",
}
# Playing takes seconds; what takes longer has got stuck.
PATIENCE_SECONDS = 120


def run(pipeline, environment):
    """Plays to the end; gives wall seconds, CPU seconds and peak memory in MiB."""
    begin = time.monotonic()
    command = [program("gst-launch-1.0"), "-q", *pipeline.split()]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment)
    watchdog = threading.Timer(PATIENCE_SECONDS, process.kill)
    watchdog.start()
    # Only wait4 tells what this one process used.
    _, status, usage = os.wait4(process.pid, 0)
    watchdog.cancel()
    if os.waitstatus_to_exitcode(status) != 0:
        raise LabError(f"failed or stuck: {' '.join(command)}")
    return time.monotonic() - begin, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def medians(runs):
    return [statistics.median(column) for column in zip(*runs)]


def report(measured):
    """Prints medians and ratios; gives whether all ratios keep to the target."""
    row = "{:<20} {:>8} {:>8} {:>9} {:>11} {:>11}".format
    print(row("", "wall s", "CPU s", "RSS MiB", "CPU ratio", "RSS ratio"))
    _, base_cpu, base_memory = medians(measured["hlsdemux2"])
    good = True
    for name, runs in measured.items():
        wall, cpu, memory = medians(runs)
        ratios = cpu / base_cpu, memory / base_memory
        good &= max(ratios) <= TARGET
        print(row(name, *(f"{number:.2f}" for number in (wall, cpu, memory, *ratios))))
    print(f"\n{'OK' if good else 'MISSED'}: at most {TARGET} times hlsdemux2 is the target")
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plugins", type=Path, default=ROOT / "target/plugins", help="directory of the plugin")
    parser.add_argument("--runs", type=int, default=7, help="of each (default %(default)s)")
    arguments = parser.parse_args()
    playlist = make_vod(ROOT / "target/bench", seconds=300, kbits=8000)
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
        environment = {**os.environ, "GST_PLUGIN_PATH": str(arguments.plugins.resolve())}
        origin = Origin(playlist.parent, Path(directory) / "nginx")
        stack.callback(origin.stop)
        pipelines = {name: text.format(url=origin.url(playlist.name)) for name, text in CASES.items()}
        # The first round fills the file cache and GStreamer's registry.
        rounds = [
            {name: run(pipeline, environment) for name, pipeline in pipelines.items()}
            for _ in range(arguments.runs + 1)
        ][1:]
        measured = {name: [values[name] for values in rounds] for name in CASES}
    return report(measured)


if __name__ == "__main__":
    try:
        sys.exit(not main())
    except LabError as error:
        sys.exit(str(error))
