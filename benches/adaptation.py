#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""Rate adaptation of p2phlssrc without peers, against GStreamer's own hlsdemux2.

Both play the same 60 s in playbin3, in turns, from an origin whose line changes its width; the
player pauses while it is told to buffer. Counted are the pauses after the first frame, how long
they took, and the bitrate of the variants that were shown.

    cargo build && cargo test --features tracker,sim --test adaptation     # makes plugin and stream
    GST_PLUGIN_PATH=target/debug benches/adaptation.py
"""

import argparse
import http.server
import re
import statistics
import threading
import time
from pathlib import Path

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
STREAM = ROOT / "target/tmp/streams/variants/ts"
# Bits a second, each for so many seconds; the last for the rest.
STEPS = [(8_000_000, 12), (600_000, 14), (3_000_000, 10), (1_000_000, 10), (8_000_000, 600)]
PATIENCE_SECONDS = 180


class Line:
    """All responses share it."""

    def __init__(self):
        self.begin = None
        self.lock = threading.Lock()

    def rate(self):
        since = time.monotonic() - self.begin
        for rate, seconds in STEPS:
            if since < seconds:
                return rate
            since -= seconds
        return STEPS[-1][0]

    def send(self, output, data):
        for at in range(0, len(data), 4096):
            piece = data[at : at + 4096]
            with self.lock:
                time.sleep(len(piece) * 8 / self.rate())
            output.write(piece)


def serve(line):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            path = STREAM / self.path.split("?")[0].lstrip("/")
            if not path.is_file():
                self.send_error(404)
                return
            data = path.read_bytes()
            first = re.match(r"bytes=(\d+)-$", self.headers.get("Range", ""))
            start = int(first[1]) if first else 0
            self.send_response(206 if first else 200)
            if first:
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            self.send_header("Content-Length", str(len(data) - start))
            self.end_headers()
            try:
                line.send(self.wfile, data[start:])
            except OSError:
                pass  # The player has changed its mind.

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def bitrates():
    """Bandwidth by height of the picture."""
    text = (STREAM / "index.m3u8").read_text()
    return {int(h): int(b) for b, h in re.findall(r"BANDWIDTH=(\d+),RESOLUTION=\d+x(\d+)", text)}


def play(scheme, buffer):
    """Gives pauses, seconds of pauses, mean bitrate, changes and seconds to the first frame."""
    line = Line()
    server = serve(line)
    player = Gst.ElementFactory.make("playbin3")
    video, audio = (Gst.ElementFactory.make("fakesink") for _ in range(2))
    for sink in (video, audio):
        sink.set_property("sync", True)
    player.set_property("video-sink", video)
    player.set_property("audio-sink", audio)
    player.set_property("uri", f"{scheme}://127.0.0.1:{server.server_port}/index.m3u8")

    def found(_, element):
        if element.find_property("buffer-duration") and element.get_factory().get_name() == "p2phlssrc":
            element.set_property("buffer-duration", buffer * Gst.SECOND)
            element.set_property("p2p", "off")

    def added(_, __, element):
        if element.get_factory() and element.get_factory().get_name() == "hlsdemux2":
            element.set_property("max-buffering-time", buffer * Gst.SECOND)

    player.connect("source-setup", found)
    player.connect("deep-element-added", added)
    heights, first = [], []

    def frame(pad, _):
        first[:] = first or [time.monotonic()]
        heights.append(pad.get_current_caps().get_structure(0).get_int("height")[1])
        return Gst.PadProbeReturn.OK

    video.get_static_pad("sink").add_probe(Gst.PadProbeType.BUFFER, frame)
    pauses, since, loop, failure = [], None, GLib.MainLoop(), []

    def message(_, message):
        nonlocal since
        if message.type == Gst.MessageType.BUFFERING:
            full = message.parse_buffering() == 100
            if full and since is not None:
                pauses.append(time.monotonic() - since)
                since = None
                player.set_state(Gst.State.PLAYING)
            elif not full and since is None and len(heights) > 50:
                since = time.monotonic()
                player.set_state(Gst.State.PAUSED)
        elif message.type == Gst.MessageType.ERROR:
            failure.append(message.parse_error())
            loop.quit()
        elif message.type == Gst.MessageType.EOS:
            loop.quit()

    bus = player.get_bus()
    bus.add_signal_watch()
    bus.connect("message", message)
    GLib.timeout_add_seconds(PATIENCE_SECONDS, loop.quit)
    begin = line.begin = time.monotonic()
    player.set_state(Gst.State.PLAYING)
    loop.run()
    player.set_state(Gst.State.NULL)
    server.shutdown()
    if failure or not heights:
        raise SystemExit(f"{scheme}: {failure or 'stuck'}")
    rates = bitrates()
    changes = sum(a != b for a, b in zip(heights, heights[1:]))
    return len(pauses), sum(pauses), statistics.mean(rates[h] for h in heights), changes, first[0] - begin, len(heights)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="of each (default %(default)s)")
    parser.add_argument("--buffer", type=int, default=10, help="seconds (default %(default)s)")
    arguments = parser.parse_args()
    Gst.init(None)
    row = "{:<12} {:>7} {:>9} {:>13} {:>8} {:>8} {:>7}".format
    print(row("", "pauses", "paused s", "mean kbit/s", "changes", "first s", "frames"))
    for _ in range(arguments.runs):
        for name, scheme in (("hlsdemux2", "http"), ("p2phlssrc", "p2p+http")):
            pauses, paused, rate, changes, first, frames = play(scheme, arguments.buffer)
            print(row(name, pauses, f"{paused:.2f}", f"{rate / 1000:.0f}", changes, f"{first:.2f}", frames), flush=True)


if __name__ == "__main__":
    main()
