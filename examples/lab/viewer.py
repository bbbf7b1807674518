# SPDX-License-Identifier: MPL-2.0
"""A viewer: gst-launch-1.0 that plays a stream in real time and keeps its bytes."""

import os
import re

from .process import Process, program


class Viewer:
    """Plays `location` until it is stopped; `stats` holds the newest figures of its source."""

    def __init__(self, number, location, directory, plugin_path, properties, decode=True):
        self.number = number
        self.output = directory / f"viewer{number}.ts"
        self.stats = {}
        # What had come when the swarm was taken to have found its order.
        self.settled = (0, 0)
        words = [f"{name}={value}" for name, value in properties.items()]
        # A player reads seconds ahead, not the whole stream.
        queue = ["queue", "max-size-bytes=1000000", "max-size-buffers=0", "max-size-time=0"]
        pipeline = [
            *("p2phlssrc", f"location={location}", "stats-interval=500", *words, "!", "tee", "name=bytes"),
            # The container's bytes as they come, for comparing.
            *("bytes.", "!", *queue, "!", "filesink", "buffer-mode=unbuffered", f"location={self.output}"),
            # Real playback: it decodes, and its clock says how fast the source may go.
            *("bytes.", "!", *queue, "!", "decodebin3" if decode else "parsebin", "name=decode"),
            *("decode.", "!", "video/x-raw" if decode else "video/x-h264", "!", "queue"),
            *("!", "fakesink", "sync=true"),
            *("decode.", "!", "audio/x-raw" if decode else "audio/mpeg", "!", "queue"),
            *("!", "fakesink", "sync=true"),
        ]
        env = {**os.environ, "GST_PLUGIN_PATH": str(plugin_path)}
        command = [program("gst-launch-1.0"), "-m", *pipeline]
        self.process = Process(f"viewer {number}", command, directory / f"viewer{number}.log", self._line, env)

    def _line(self, line):
        if "p2phls-stats," in line:
            self.stats = parse_stats(line)

    def __getitem__(self, name):
        """A figure of the newest stats, 0 before the first."""
        return self.stats.get(name, 0)

    @property
    def efficiency(self):
        return efficiency(self["peer-bytes"], self["http-bytes"])

    def has_ended(self):
        """It has come to the end of the stream."""
        return self.process.popen.poll() == 0

    def settle(self):
        self.settled = (self["peer-bytes"], self["http-bytes"])

    def since_settled(self):
        """Bytes from peers and over HTTP since then."""
        return self["peer-bytes"] - self.settled[0], self["http-bytes"] - self.settled[1]

    def stop(self):
        self.process.stop()


def parse_stats(line):
    """The numbers in a structure as gst-launch-1.0 -m prints it: `name=(type)value, ...`."""
    fields = re.findall(r"([a-z][a-z-]*)=\((?:g?u?int(?:64)?|gdouble|double|uint)\)([0-9.e+-]+)", line)
    stats = {}
    for name, value in fields:
        # What stands inside of the list of peers comes later and has other names.
        stats.setdefault(name, float(value) if "." in value else int(value))
    return stats


def efficiency(peer_bytes, http_bytes):
    """The share of the bytes that came from peers."""
    return peer_bytes / (peer_bytes + http_bytes) if peer_bytes + http_bytes else 0.0
