#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""A live stream, its origin and a tracker on fixed ports, to try players with. Ends with Ctrl-C."""

import argparse
import contextlib
import signal
import sys
import tempfile
from pathlib import Path

from lab.origin import Origin
from lab.process import LabError, wait_for
from lab.stream import LiveStream
from lab.tracker import Tracker


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tracker", type=lambda text: Path(text).resolve(), required=True, help="p2phls-tracker")
    parser.add_argument("--http-port", type=int, default=8080)
    parser.add_argument("--tracker-port", type=int, default=8000)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with tempfile.TemporaryDirectory(prefix="p2phls-serve-") as directory, contextlib.ExitStack() as stack:
        directory = Path(directory)
        stream = LiveStream(directory / "origin", directory / "ffmpeg.log")
        stack.callback(stream.stop)
        origin = Origin(directory / "origin", directory / "nginx", arguments.http_port)
        stack.callback(origin.stop)
        tracker = Tracker(arguments.tracker, directory / "tracker.log", f"127.0.0.1:{arguments.tracker_port}")
        stack.callback(tracker.stop)
        servers = [stream.process, origin.process, tracker.process]
        wait_for(lambda: stream.process.check() or len(stream.segments()) > 5, 30, "the stream's first segments")
        print(f"playlist {origin.url('live.m3u8')}\ntracker  {tracker.url}\nCtrl-C ends it", flush=True)
        while True:
            for server in servers:
                server.check()
            signal.sigtimedwait([], 1)


if __name__ == "__main__":
    try:
        main()
    except LabError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        pass
