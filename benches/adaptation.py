#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""Rate adaptation of p2phlssrc without peers, against GStreamer's own hlsdemux2.

Both play the same 60 s in playbin3, in turns, from an origin whose line changes its width; the
player pauses while it is told to buffer. Counted are the pauses after the first frame, how long no
frame came after that, the bitrate of the variants that were shown, and what the origin sent.

    cargo build && cargo test --features tracker,sim --test adaptation     # makes plugin and stream
    GST_PLUGIN_PATH=target/debug benches/adaptation.py
    GST_PLUGIN_PATH=target/debug benches/adaptation.py --shapes steps --runs 1 --trace
"""

import argparse
import http.server
import math
import random
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
PATIENCE_SECONDS = 180
# A time without a frame that a viewer sees.
GAP_SECONDS = 0.3


def steps(*widths):
    """Mbit/s, each for so many seconds; the last for the rest."""

    def rate(since):
        for width, seconds in widths:
            if since < seconds:
                break
            since -= seconds
        return width * 1e6

    return rate


def walk(seed):
    """A new width each second, up to a third more or less than the last."""
    chance = random.Random(seed)
    rates = [2.0]
    while len(rates) < 300:
        rates.append(min(8.0, max(0.5, rates[-1] * math.exp(chance.uniform(-0.3, 0.3)))))
    return lambda since: rates[min(int(since), len(rates) - 1)] * 1e6


SHAPES = {
    "steps": steps((8, 12), (0.6, 14), (3, 10), (1, 10), (8, 600)),
    "high-low": steps((6, 20), (0.8, 600)),
    "low-high": steps((0.6, 20), (6, 600)),
    "dip": steps((3, 15), (0.4, 8), (3, 600)),
    "sinus": lambda since: 1e6 * (2 + 1.6 * math.sin(2 * math.pi * since / 20)),
    "walk": walk(7),
}


class Line:
    """All responses share it."""

    def __init__(self, rate):
        self.rate = rate
        self.begin = None
        self.lock = threading.Lock()
        self.sent = 0

    def send(self, output, data):
        for at in range(0, len(data), 4096):
            piece = data[at : at + 4096]
            with self.lock:
                time.sleep(len(piece) * 8 / self.rate(time.monotonic() - self.begin))
            output.write(piece)
            self.sent += len(piece)


def serve(line, trace):
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
            asked = time.monotonic() - line.begin
            how = ""
            try:
                line.send(self.wfile, data[start:])
            except OSError:
                how = " left"  # The player has changed its mind.
            if trace:
                took = time.monotonic() - line.begin - asked
                print(f"    {asked:6.2f} s {self.path} {len(data)} bytes in {took:.2f} s{how}", flush=True)

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


def play(scheme, buffer, rate, trace):
    """Gives pauses, seconds without a frame, mean bitrate, changes, megabytes sent, seconds to the first frame
    and frames."""
    line = Line(rate)
    server = serve(line, trace)
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
    heights, times = [], []

    def frame(pad, _):
        times.append(time.monotonic())
        heights.append(pad.get_current_caps().get_structure(0).get_int("height")[1])
        return Gst.PadProbeReturn.OK

    video.get_static_pad("sink").add_probe(Gst.PadProbeType.BUFFER, frame)
    pauses, paused, loop, failure = 0, False, GLib.MainLoop(), []

    def message(_, message):
        nonlocal paused, pauses
        if message.type == Gst.MessageType.BUFFERING:
            full = message.parse_buffering() == 100
            if full and paused:
                paused = False
                player.set_state(Gst.State.PLAYING)
            elif not full and not paused and len(heights) > 50:
                paused = True
                pauses += 1
                player.set_state(Gst.State.PAUSED)
        elif message.type == Gst.MessageType.ERROR:
            failure.append(message.parse_error())
            loop.quit()
        elif message.type == Gst.MessageType.EOS:
            loop.quit()

    bus = player.get_bus()
    bus.add_signal_watch()
    bus.connect("message", message)
    timeout = GLib.timeout_add_seconds(PATIENCE_SECONDS, loop.quit)
    begin = line.begin = time.monotonic()
    player.set_state(Gst.State.PLAYING)
    loop.run()
    GLib.source_remove(timeout)
    bus.remove_signal_watch()
    player.set_state(Gst.State.NULL)
    server.shutdown()
    if failure or not heights:
        raise SystemExit(f"{scheme}: {failure or 'stuck'}")
    rates = bitrates()
    changes = [n for n, (a, b) in enumerate(zip(heights, heights[1:]), 1) if a != b]
    if trace:
        shown = [f"{rates[heights[n]] // 1000} from {n / 25:.1f} s" for n in [0, *changes]]
        print(f"    {scheme}: shown were {', '.join(shown)}")
    silence = sum(b - a for a, b in zip(times[50:], times[51:]) if b - a > GAP_SECONDS)
    mean = statistics.mean(rates[h] for h in heights)
    return pauses, silence, mean, len(changes), line.sent / 1e6, times[0] - begin, len(heights)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="of each (default %(default)s)")
    parser.add_argument("--buffer", type=int, default=10, help="seconds (default %(default)s)")
    parser.add_argument("--shapes", default=",".join(SHAPES), help="of the line (default %(default)s)")
    parser.add_argument("--only", choices=("hlsdemux2", "p2phlssrc"), help="one of both")
    parser.add_argument("--trace", action="store_true", help="tell what is asked for, and what is shown when")
    arguments = parser.parse_args()
    Gst.init(None)
    row = "{:<10} {:<10} {:>7} {:>10} {:>12} {:>8} {:>9} {:>8} {:>7}".format
    print(row("line", "", "pauses", "no frame s", "mean kbit/s", "changes", "MB sent", "first s", "frames"))
    for shape in arguments.shapes.split(","):
        means = {"hlsdemux2": [], "p2phlssrc": []}
        for _ in range(arguments.runs):
            for name, scheme in (("hlsdemux2", "http"), ("p2phlssrc", "p2p+http")):
                if arguments.only in (None, name):
                    pauses, silence, rate, changes, sent, first, frames = play(
                        scheme, arguments.buffer, SHAPES[shape], arguments.trace
                    )
                    means[name].append(rate)
                    figures = f"{silence:.2f}", f"{rate / 1000:.0f}", changes, f"{sent:.1f}", f"{first:.2f}", frames
                    print(row(shape, name, pauses, *figures), flush=True)
        if all(means.values()):
            ours, theirs = means["p2phlssrc"], means["hlsdemux2"]
            ratios = ", ".join(f"{a / b:.2f}" for a, b in zip(ours, theirs))
            ratio = statistics.mean(ours) / statistics.mean(theirs)
            print(f"{shape}: mean bitrate {ratio:.2f} times theirs ({ratios})")


if __name__ == "__main__":
    main()
