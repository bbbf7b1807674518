# SPDX-License-Identifier: MPL-2.0
"""The built plugin as a Python application sees it. Needs GST_PLUGIN_PATH to name its directory."""

import contextlib
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
sys.path.insert(0, str(EXAMPLES))

from lab.origin import Origin
from lab.stream import make_vod

STATS = {
    "http-bytes": int,
    "peer-bytes": int,
    "upload-bytes": int,
    "wasted-bytes": int,
    "rejected-bytes": int,
    "peer-efficiency": float,
    "hedges": int,
    "stalls": int,
    "stalled-time": int,
    "skipped-segments": int,
    "swarm-size": int,
    "peers": int,
    "buffer-level": int,
    "http-rate": int,
    "memory": int,
    "variant-bandwidth": int,
}


def setUpModule():
    Gst.init(None)


class ElementTest(unittest.TestCase):
    """The element's face, without playing."""

    def setUp(self):
        self.source = Gst.ElementFactory.make("p2phlssrc")
        self.assertIsNotNone(self.source, "GStreamer does not know p2phlssrc")

    def test_factory(self):
        factory = self.source.get_factory()
        self.assertIn("Source", factory.get_metadata(Gst.ELEMENT_METADATA_KLASS))
        self.assertEqual(factory.get_rank(), Gst.Rank.PRIMARY)
        self.assertIn("p2p+https", factory.get_uri_protocols())

    def test_properties_read_back(self):
        for name, value in {
            "location": "https://cdn.example/live.m3u8",
            "trackers": "wss://one.example,wss://two.example",
            "swarm-id": "match-7",
            "ice-addresses": "127.0.0.1",
            "max-peers": 7,
            "max-upload-rate": 5000,
            "buffer-duration": 20 * Gst.SECOND,
            "max-memory": 64 << 20,
            "user-agent": "kiosk/1",
            "connection-speed": 8000,
            "timeout": 5,
            "retries": 1,
            "stats-interval": 500,
        }.items():
            with self.subTest(name):
                self.source.set_property(name, value)
                self.assertEqual(self.source.get_property(name), value)

    def test_mode_takes_nicks(self):
        for nick in ("off", "leech", "on"):
            Gst.util_set_object_arg(self.source, "p2p", nick)
            self.assertEqual(self.source.get_property("p2p").value_nick, nick)

    def test_playbin_finds_the_source(self):
        uri = "p2p+https://cdn.example/live.m3u8"
        source = Gst.Element.make_from_uri(Gst.URIType.SRC, uri)
        self.assertEqual(source.get_factory().get_name(), "p2phlssrc")
        self.assertEqual(source.get_property("location"), "https://cdn.example/live.m3u8")
        self.assertEqual(source.get_uri(), uri)

    def test_stats_are_complete_before_playing(self):
        stats = self.source.get_property("stats")
        self.assertEqual(stats.get_name(), "p2phls-stats")
        for name, kind in STATS.items():
            with self.subTest(name):
                self.assertIsInstance(stats.get_value(name), kind)
        self.assertEqual(self.source.get_property("peers"), 0)
        self.assertEqual(self.source.get_property("peer-efficiency"), 0.0)


class PlayTest(unittest.TestCase):
    """A short stream over HTTP, to its end."""

    def test_player_plays_to_the_end(self):
        with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
            playlist = make_vod(directory, 4, 500, "320x180", 25, 1)
            origin = Origin(directory, Path(directory) / "nginx")
            stack.callback(origin.stop)
            command = [sys.executable, EXAMPLES / "player.py", "--headless", "--stats-interval", "200"]
            result = subprocess.run(
                [*command, "--set", "p2p=off", "p2p+" + origin.url(playlist.name)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=120,
            )
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn("efficiency   0%", result.stdout)

    def test_player_tells_what_is_wrong(self):
        with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
            origin = Origin(directory, Path(directory) / "nginx")
            stack.callback(origin.stop)
            result = subprocess.run(
                [sys.executable, EXAMPLES / "player.py", "--headless", "p2p+" + origin.url("nothing.m3u8")],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=120,
            )
            self.assertNotEqual(result.returncode, 0)
            self.assertIn("nothing.m3u8", result.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
