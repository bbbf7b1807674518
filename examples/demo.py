# SPDX-License-Identifier: MPL-2.0
"""Four viewers of one live stream: what they take from each other, and whether it is right.

A live stream that ffmpeg makes, an nginx as its origin, a tracker, and viewers that are plain
gst-launch-1.0 processes. In the end each viewer's bytes are compared with the origin's.
"""

import argparse
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from lab.origin import Origin
from lab.process import LabError, wait_for
from lab.stream import LiveStream, compare
from lab.tracker import Tracker
from lab.viewer import Viewer, efficiency

MEGABYTE = 1_000_000
SECOND = 1_000_000_000  # GStreamer counts nanoseconds
SEGMENT_SECONDS = 2
REFRESH_SECONDS = 4
STAGGER_SECONDS = 1


def run(arguments, directory, stack):
    """Plays, and gives the viewers, the stream and the origin when it is over."""

    def started(thing):
        stack.callback(thing.stop)
        return thing

    stream = started(LiveStream(directory / "origin", directory / "ffmpeg.log", SEGMENT_SECONDS))
    origin = started(Origin(directory / "origin", directory / "nginx"))
    tracker = started(Tracker(arguments.tracker, directory / "tracker.log"))
    print(f"origin  {origin.url('live.m3u8')}\ntracker {tracker.url}")

    # Players start three segments from the end, so there have to be some.
    print("waiting for the stream's first segments", flush=True)
    wait_for(lambda: stream.process.check() or len(stream.segments()) > 5, 30, "the stream's first segments")

    properties = {"trackers": tracker.url, "ice-addresses": "127.0.0.1"}
    servers = [stream.process, origin.process, tracker.process]
    viewers = []
    begin = time.monotonic()
    while (now := time.monotonic() - begin) < (arguments.viewers - 1) * STAGGER_SECONDS + arguments.duration:
        for process in [*servers, *(viewer.process for viewer in viewers)]:
            process.check()
        if len(viewers) < arguments.viewers and now >= len(viewers) * STAGGER_SECONDS:
            number = len(viewers) + 1
            viewers.append(
                started(Viewer(number, origin.url("live.m3u8"), directory, arguments.plugins, properties))
            )
            continue
        show(now, viewers)
        pause = REFRESH_SECONDS if len(viewers) == arguments.viewers else STAGGER_SECONDS
        time.sleep(pause)
    for viewer in viewers:
        viewer.stop()
    stream.stop()
    return viewers, stream, origin


def show(now, viewers):
    """One line a viewer: how it is doing."""
    for viewer in viewers:
        print(
            f"{now:4.0f} s  viewer {viewer.number}"
            f"   from peers {viewer['peer-bytes'] / MEGABYTE:6.1f} MB"
            f"   HTTP {viewer['http-bytes'] / MEGABYTE:6.1f} MB"
            f"   efficiency {viewer.efficiency:4.0%}"
            f"   buffer {viewer['buffer-level'] / SECOND:4.1f} s"
            f"   peers {viewer['peers']}   stalls {viewer['stalls']}"
        )
    print(flush=True)


def conclude(viewers, stream, origin, min_efficiency):
    """Prints the table and gives what is wrong."""
    wrong = []
    row = "{:<8} {:>9} {:>9} {:>10} {:>9} {:>6} {:>8}   {}".format
    print(row("viewer", "HTTP MB", "peer MB", "efficiency", "up MB", "stalls", "startup", "bytes"))
    for viewer in viewers:
        try:
            verdict = f"{compare(viewer.output, stream.segments())} segments as at the origin"
        except LabError as error:
            verdict = f"WRONG: {error}"
            wrong.append(f"viewer {viewer.number}: {error}")
        if viewer["stalls"]:
            wrong.append(f"viewer {viewer.number} stalled {viewer['stalls']} times")
        startup = f"{viewer['startup-time'] / SECOND:.2f} s" if "startup-time" in viewer.stats else "-"
        print(row(viewer.number, *figures(viewer), viewer["stalls"], startup, verdict))
    totals = {name: sum(viewer[name] for viewer in viewers) for name in
              ("http-bytes", "peer-bytes", "upload-bytes", "stalls")}
    print(row("all", *figures(totals), totals["stalls"], "", ""))
    print(f"\nThe origin counted {origin.served('.ts') / MEGABYTE:.1f} MB of segments; "
          f"{len(viewers)} viewers can reach {1 - 1 / len(viewers):.0%} in efficiency at most.")
    reached = efficiency(totals["peer-bytes"], totals["http-bytes"])
    if reached < min_efficiency:
        wrong.append(f"efficiency {reached:.1%} is below {min_efficiency:.0%}")
    return wrong


def figures(stats):
    return (
        f"{stats['http-bytes'] / MEGABYTE:.1f}",
        f"{stats['peer-bytes'] / MEGABYTE:.1f}",
        f"{efficiency(stats['peer-bytes'], stats['http-bytes']):.1%}",
        f"{stats['upload-bytes'] / MEGABYTE:.1f}",
    )


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    path = lambda text: Path(text).resolve()
    parser.add_argument("--plugins", type=path, required=True, help="directory with the plugin")
    parser.add_argument("--tracker", type=path, required=True, help="p2phls-tracker")
    setting = lambda name, default: float(os.environ.get(name) or default)
    parser.set_defaults(
        duration=setting("DURATION", 60),
        viewers=int(setting("VIEWERS", 4)),
        min_efficiency=setting("MIN_EFFICIENCY", 60) / 100,
    )
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    # So that a plain kill cleans up as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    directory = Path(tempfile.mkdtemp(prefix="p2phls-demo-"))
    wrong = []
    try:
        with contextlib.ExitStack() as stack:
            wrong = conclude(*run(arguments, directory, stack), arguments.min_efficiency)
    except LabError as error:
        wrong = [str(error)]
    finally:
        if wrong or os.environ.get("KEEP"):
            print(f"\nThe stream, the viewers' files and the logs are in {directory}")
        else:
            shutil.rmtree(directory)
    print("\nFAILED: " + "\n        ".join(wrong) if wrong else "\nOK: every byte is the origin's")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted")
