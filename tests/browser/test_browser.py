#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""A GStreamer viewer and a browser with hls.js and p2p-media-loader share one swarm.

Needs `npm ci` in this directory, Chromium, GST_PLUGIN_PATH with the plugin's directory and
P2PHLS_TRACKER with the tracker's program. With KEEP set, the logs stay where it says.
"""

import contextlib
import json
import os
import shutil
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "examples"))

from lab.origin import Origin
from lab.process import Process, program, wait_for
from lab.stream import LiveStream, compare, make_vod
from lab.tracker import Tracker
from lab.viewer import Viewer

SEGMENT_SECONDS = 2
VOD_SECONDS = 40
VOD_SEGMENTS = VOD_SECONDS // SEGMENT_SECONDS
LIVE_WINDOW = 15
KBITS = 2000
MASTER = f"""#EXTM3U
#EXT-X-STREAM-INF:BANDWIDTH={KBITS * 1100},CODECS="avc1.42c01e,mp4a.40.2",RESOLUTION=640x360,FRAME-RATE=25.000
%s.m3u8
"""


class Tab:
    """A browser's tab that plays `playlist`; `stats` holds its newest figures."""

    def __init__(self, page, playlist, tracker, log):
        self.stats = {}
        command = [program("node"), HERE / "tab.mjs", program("chromium")]
        url = f"{page}?playlist={playlist}&tracker={tracker}"
        self.process = Process("browser", [*command, url], log, self._line)

    def _line(self, line):
        if line.startswith("{"):
            self.stats = json.loads(line)

    def __getitem__(self, name):
        value = self.stats
        for part in name.split("."):
            value = value.get(part, {})
        return value or 0

    def stop(self):
        self.process.stop()


class BrowserTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = contextlib.ExitStack()
        cls.addClassCleanup(cls.stack.close)
        cls.directory = Path(tempfile.mkdtemp(prefix="p2phls-browser-"))
        cls.stack.callback(cls.clean_up)
        root = cls.directory / "origin"
        make_vod(root, VOD_SECONDS, KBITS, "640x360", segment_seconds=SEGMENT_SECONDS)
        for name in ("vod", "live"):
            (root / f"{name}-master.m3u8").write_text(MASTER % name)
        cls.vod_segments = sorted(root.glob("vod*.ts"))
        (root / "page").symlink_to(HERE)
        cls.origin = Origin(root, cls.directory / "nginx")
        cls.stack.callback(cls.origin.stop)
        # Long enough for the page's distance from the live edge. It grows during the other tests.
        cls.live = LiveStream(root, cls.directory / "ffmpeg.log", SEGMENT_SECONDS, LIVE_WINDOW, KBITS)
        cls.stack.callback(cls.live.stop)

    @classmethod
    def clean_up(cls):
        if os.environ.get("KEEP"):
            print(f"\nThe logs are in {cls.directory}")
        else:
            shutil.rmtree(cls.directory)

    def setUp(self):
        self.logs = self.directory / self._testMethodName
        self.logs.mkdir()
        # A tracker of its own, so that no test meets another's viewers.
        self.tracker = self.started(Tracker(os.environ["P2PHLS_TRACKER"], self.logs / "tracker.log"))

    def started(self, thing):
        self.addCleanup(thing.stop)
        return thing

    def viewer(self, playlist):
        properties = {"trackers": self.tracker.url, "ice-addresses": "127.0.0.1", "buffer-duration": 60 * 10**9}
        plugins = os.environ["GST_PLUGIN_PATH"]
        return self.started(Viewer(1, self.origin.url(playlist), self.logs, plugins, properties))

    def tab(self, playlist):
        # By another name than the stream, so that what a stream needs of CORS is tried as well.
        page = f"http://localhost:{self.origin.port}/page/index.html"
        return self.started(Tab(page, self.origin.url(playlist), self.tracker.url, self.logs / "browser.log"))

    def wait(self, what, condition, seconds, *running):
        """Waits for a condition, as long as these go on."""

        def holds():
            for one in running:
                one.process.check()
            return condition()

        wait_for(holds, seconds, what)

    def connected(self, viewer, tab):
        self.wait("the two to connect", lambda: viewer["peers"] == 1 and tab["peers"], 20, viewer, tab)
        self.assertEqual(len(tab["peers"]), 1)

    def assert_well(self, tab):
        """The browser plays, and all that a peer sent it is the origin's."""
        # The figures may be renewed in between; a segment is verified first and counted then.
        counted = tab["segments.p2p"]
        self.assertGreaterEqual(tab["verified"], counted)
        self.assertEqual(tab["errors"] or [], [])

    def report(self, viewer, tab):
        names = ("peers", "peer-bytes", "http-bytes", "upload-bytes", "stalls")
        print(f"\n{self._testMethodName}: viewer {({name: viewer[name] for name in names})}, browser {tab.stats}")

    def test_browser_joins_a_viewer(self):
        viewer = self.viewer("vod-master.m3u8")
        size = sum(segment.stat().st_size for segment in self.vod_segments)
        self.wait("the viewer to hold the stream", lambda: viewer["http-bytes"] >= size, 30, viewer)
        tab = self.tab("vod-master.m3u8")
        self.connected(viewer, tab)
        self.wait("segments from the viewer", lambda: tab["segments.p2p"] >= 10, 30, viewer, tab)
        self.wait("playback to go on", lambda: tab["time"] > 10, 30, tab)
        self.report(viewer, tab)
        self.assert_well(tab)
        self.assertGreaterEqual(viewer["upload-bytes"], tab["bytes.p2p"])

    def test_viewer_joins_a_browser(self):
        # A media playlist without a multivariant one makes another name of the swarm.
        tab = self.tab("vod.m3u8")
        self.wait("the browser to hold some of it", lambda: tab["segments.http"] >= 15, 40, tab)
        viewer = self.viewer("vod.m3u8")
        self.connected(viewer, tab)
        self.wait("bytes from the browser", lambda: viewer["peer-bytes"] > 0, 30, viewer, tab)
        self.wait("the end", lambda: viewer.process.popen.poll() is not None, VOD_SECONDS + 30, tab)
        self.report(viewer, tab)
        self.assertEqual(compare(viewer.output, self.vod_segments), VOD_SEGMENTS)
        self.assert_well(tab)

    def test_live_stream(self):
        whole = lambda: self.live.process.check() or len(self.live.segments()) > LIVE_WINDOW
        wait_for(whole, 40, "a whole window of the live stream")
        viewer = self.viewer("live-master.m3u8")
        self.wait("the viewer to play", lambda: viewer["http-bytes"] > 0, 20, viewer)
        tab = self.tab("live-master.m3u8")
        self.connected(viewer, tab)
        self.wait("segments from the viewer", lambda: tab["segments.p2p"] >= 5, 40, viewer, tab)
        self.report(viewer, tab)
        # Before the viewer leaves, perhaps in the middle of a segment: that is an error to the browser.
        self.assert_well(tab)
        viewer.stop()
        self.assertGreater(compare(viewer.output, self.live.segments()), 3)


if __name__ == "__main__":
    unittest.main(verbosity=2)
