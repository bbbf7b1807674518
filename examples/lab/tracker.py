# SPDX-License-Identifier: MPL-2.0
"""The tracker that introduces the viewers."""

import re

from .process import Process, wait_for


class Tracker:
    """Runs the tracker's program; `url` is what viewers take for `trackers`."""

    def __init__(self, binary, log, listen="127.0.0.1:0"):
        found = []
        on_line = lambda line: found.extend(re.findall(r"listening on (ws://\S+)", line))
        self.process = Process("p2phls-tracker", [binary, "--listen", listen], log, on_line)

        def url():
            self.process.check()
            return found

        self.url = wait_for(url, 10, "the tracker to listen")[0]

    def stop(self):
        self.process.stop()
