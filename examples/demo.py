# SPDX-License-Identifier: MPL-2.0
"""Viewers of one stream: what they take from each other, and whether it is right.

A stream that ffmpeg makes, an nginx as its origin, a tracker, and viewers that are plain
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
from lab.stream import Film, LiveStream, compare
from lab.tracker import Tracker
from lab.viewer import Viewer, efficiency

MEGABYTE = 1_000_000
SECOND = 1_000_000_000  # GStreamer counts nanoseconds
SEGMENT_SECONDS = 2
REFRESH_SECONDS = 4
END_SECONDS = 20  # a film may take so much longer than it lasts
SETTLING_SECONDS = 20  # from the last viewer's start until the swarm has found its order


def run(arguments, directory, stack):
    """Plays, and gives the viewers, the stream and the origin when it is over."""

    def started(thing):
        stack.callback(thing.stop)
        return thing

    last_start = (arguments.viewers - 1) * arguments.stagger
    if arguments.vod:
        stream = started(Film(directory / "origin", int(arguments.duration), SEGMENT_SECONDS))
    else:
        stream = started(LiveStream(directory / "origin", directory / "ffmpeg.log", SEGMENT_SECONDS))
    origin = started(Origin(directory / "origin", directory / "nginx"))
    tracker = started(Tracker(arguments.tracker, directory / "tracker.log"))
    url = origin.url(stream.name)
    print(f"origin  {url}\ntracker {tracker.url}")

    # Players start three segments from the end, so there have to be some.
    print("waiting for the stream's first segments", flush=True)
    wait_for(lambda: stream.check() or len(stream.segments()) > 5, 30, "the stream's first segments")

    viewers = []
    settled = None
    begin = time.monotonic()
    # Everybody is to see all of a film.
    end = last_start + arguments.duration + (END_SECONDS if arguments.vod else 0)
    while (now := time.monotonic() - begin) < end:
        playing = [viewer.process for viewer in viewers if not (arguments.vod and viewer.has_ended())]
        if len(viewers) == arguments.viewers and not playing:
            break
        for thing in [stream, origin.process, tracker.process, *playing]:
            thing.check()
        if len(viewers) < arguments.viewers and now >= len(viewers) * arguments.stagger:
            number = len(viewers) + 1
            # An address each, so that their links can be told apart.
            properties = {"trackers": tracker.url, "ice-addresses": f"127.0.0.{number + 1}"}
            viewer = Viewer(number, url, directory, arguments.plugins, properties, not arguments.light)
            viewers.append(started(viewer))
            continue
        if settled is None and now >= last_start + SETTLING_SECONDS:
            settled = len(stream.segments())
            for viewer in viewers:
                viewer.settle()
        if not arguments.quiet:
            show(now, viewers)
        waits = len(viewers) < arguments.viewers
        time.sleep(min(arguments.stagger, REFRESH_SECONDS) if waits else REFRESH_SECONDS)
    for viewer in viewers:
        viewer.stop()
    stream.stop()
    return viewers, stream, origin, settled


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


def conclude(viewers, stream, origin, settled, min_efficiency):
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
    if settled is not None:
        print(f"Since {SETTLING_SECONDS} s after the last one came: efficiency {settled_efficiency(viewers):.1%}"
              f"{requests_per_segment(stream, origin, settled)}.")
    reached = efficiency(totals["peer-bytes"], totals["http-bytes"])
    if reached < min_efficiency:
        wrong.append(f"efficiency {reached:.1%} is below {min_efficiency:.0%}")
    return wrong


def settled_efficiency(viewers):
    """The efficiency since the swarm has found its order."""
    bytes_since = [viewer.since_settled() for viewer in viewers]
    return efficiency(*(sum(part) for part in zip(*bytes_since)))


def requests_per_segment(stream, origin, settled):
    """How often the origin was asked for each segment of a live stream that has come since then."""
    # The last ones are still asked for.
    names = [segment.name for segment in stream.segments()[settled:-3]]
    if not stream.name.startswith("live") or not names:
        return ""
    requests = origin.requests(".ts")
    return f", {sum(requests[name] for name in names) / len(names):.2f} requests to the origin for a segment"


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
    parser.add_argument("--duration", type=float, default=setting("DURATION", 60),
                        help="seconds from the last viewer's start, or of the film")
    parser.add_argument("--viewers", type=int, default=int(setting("VIEWERS", 4)))
    parser.add_argument("--min-efficiency", type=float, default=setting("MIN_EFFICIENCY", 60), metavar="PERCENT")
    parser.add_argument("--stagger", type=float, default=1, metavar="SECONDS", help="between two viewers' starts")
    parser.add_argument("--vod", action="store_true", help="video on demand instead of live")
    parser.add_argument("--light", action="store_true", help="do not decode, only keep the time: for many viewers")
    parser.add_argument("--quiet", action="store_true", help="tell the outcome only")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    # So that a plain kill cleans up as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    directory = Path(tempfile.mkdtemp(prefix="p2phls-demo-"))
    wrong = []
    try:
        with contextlib.ExitStack() as stack:
            wrong = conclude(*run(arguments, directory, stack), arguments.min_efficiency / 100)
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
