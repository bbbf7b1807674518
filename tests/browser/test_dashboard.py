#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""The tracker's dashboard in a real Chromium, with a crowd to be seen.

Needs `npm ci` in this directory, Chromium, and P2PHLS_TRACKER with the tracker's program. Screenshots stay in
target/dashboard, or where SCREENSHOTS says.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "examples"))

from lab.process import Process, program, wait_for

VIEWERS = 400
# Network, share of the crowd, AS, country.
NETWORKS = [
    ("10.1", 30, 3320, "DE"),
    ("10.2", 12, 6805, "DE"),
    ("10.3", 20, 3215, "FR"),
    ("10.4", 9, 12322, "FR"),
    ("10.5", 14, 7922, "US"),
    ("10.6", 8, 28573, "BR"),
    ("10.7", 4, 4134, "CN"),
    ("10.8", 3, 36994, "ZA"),
]
ADDRESS = re.compile(r"\b10\.\d+\.\d+\.\d+\b")


class DashboardTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="p2phls-dashboard-")
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        self.screenshots = Path(os.environ.get("SCREENSHOTS", ROOT / "target" / "dashboard"))
        self.screenshots.mkdir(parents=True, exist_ok=True)
        sites = self.directory / "sites.csv"
        rows = [f"{network}.0.0/16,,{asn},{country},,\n" for network, _, asn, country in NETWORKS]
        sites.write_text("network,site,asn,country,region,rules\n" + "".join(rows))
        found = {}

        def line(text):
            for name, pattern in (("viewers", r"listening on (ws://\S+)"), ("page", r"operators at (http://\S+)")):
                if match := re.search(pattern, text):
                    found[name] = match[1]

        command = [os.environ["P2PHLS_TRACKER"], "--listen", "127.0.0.1:0", "--operator-listen", "127.0.0.1:0"]
        command += ["--trusted-proxy", "127.0.0.1", "--sites", sites]
        self.tracker = Process("tracker", command, self.directory / "tracker.log", line)
        self.addCleanup(self.tracker.stop)
        wait_for(lambda: self.tracker.check() or len(found) == 2, 10, "the tracker to listen")
        self.page = found["page"]
        shares = [f"{network}={share}" for network, share, *_ in NETWORKS]
        crowd = [program("node"), HERE / "crowd.mjs", found["viewers"], str(VIEWERS), *shares]
        self.crowd = Process("crowd", crowd, self.directory / "crowd.log", lambda text: None)
        self.addCleanup(self.crowd.stop)

    def figures(self):
        with urllib.request.urlopen(f"{self.page}/dashboard/figures.json?range=hour") as reply:
            return json.load(reply)

    def test_page(self):
        def there():
            self.crowd.check()
            figures = self.figures()
            return figures["viewers"] == VIEWERS and len(figures["history"]) >= 3 and figures["traffic"]["http"]

        wait_for(there, 60, "the crowd and some history")
        command = [program("node"), HERE / "dashboard.mjs", program("chromium"), f"{self.page}/dashboard", self.screenshots]
        seen = json.loads(subprocess.run(command, check=True, timeout=120, stdout=subprocess.PIPE).stdout)
        self.assertEqual((seen["errors"], seen["strangers"]), ([], []))
        for name, shown in seen["shown"].items():
            with self.subTest(name):
                self.assertEqual(shown["state"], "ok")
                self.assertEqual(shown["cards"][0], str(VIEWERS))
                self.assertEqual(shown["cards"][1], "7")
                self.assertRegex(shown["cards"][2], r"^[89]\d\.\d %$")
                self.assertEqual(len(shown["networks"]), len(NETWORKS))
                self.assertEqual(len(shown["countries"]), 6)
                self.assertEqual((shown["bubbles"], shown["swarms"], shown["charts"]), (6, 7, 3))
                self.assertGreater(shown["lines"], 100)
                self.assertEqual(shown["wider"], 0, "it has to be scrolled sideways")
                self.assertNotRegex(shown["text"], ADDRESS)
                self.assertNotIn("swarm-0000", shown["text"])
        self.assertNotRegex(json.dumps(self.figures()), ADDRESS)
        for shot in sorted(self.screenshots.glob("dashboard-*.png")):
            print(f"\n{shot}")


if __name__ == "__main__":
    unittest.main(verbosity=2)
