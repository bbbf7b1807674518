#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""bittorrent-tracker's own client, unmodified, with our tracker.

Needs `npm ci` in this directory, Chromium, and P2PHLS_TRACKER with the tracker's program.
"""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "examples"))

from lab.process import program
from lab.tracker import Tracker


class BittorrentClientTest(unittest.TestCase):
    def test_three_pages_in_two_swarms(self):
        with tempfile.TemporaryDirectory(prefix="p2phls-client-") as directory:
            tracker = Tracker(os.environ["P2PHLS_TRACKER"], Path(directory) / "tracker.log")
            self.addCleanup(tracker.stop)
            command = [program("node"), HERE / "bittorrent_client.mjs", program("chromium"), tracker.url]
            output = subprocess.run(command, check=True, timeout=180, stdout=subprocess.PIPE).stdout
        for swarm, seen in json.loads(output).items():
            with self.subTest(swarm):
                self.assertEqual((seen["errors"], seen["warnings"]), ([], []))
                self.assertEqual(set(seen["heard"]), {"-XX0001-page00000002", "-XX0001-page00000003"})
                self.assertEqual(seen["updates"][0], {"complete": 0, "incomplete": 1})


if __name__ == "__main__":
    unittest.main(verbosity=2)
