# SPDX-License-Identifier: MPL-2.0
"""Other programs: started, watched and surely ended."""

import shutil
import signal
import subprocess
import threading
import time


class LabError(Exception):
    """Something that the user can do something about."""


def program(name):
    """The path of a program; servers are often outside of a user's PATH."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        raise LabError(f"{name} is not installed")
    return path


def wait_for(condition, seconds, what):
    """Waits until `condition()` is true and gives its value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise LabError(f"waited {seconds} s in vain for {what}")
        threading.Event().wait(0.05)
    return value


class Process:
    """A running program whose output lines go to a log and to `on_line`."""

    def __init__(self, name, command, log, on_line=None, env=None):
        self.name, self.log, self.on_line = name, log, on_line
        # A session of its own: Ctrl-C reaches us alone, and we end the others in order.
        self.popen = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=env,
            start_new_session=True,
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        with open(self.log, "w") as log, self.popen.stdout as lines:
            for line in lines:
                log.write(line)
                log.flush()
                if self.on_line:
                    self.on_line(line)

    def check(self):
        """Raises an error when the program has ended by itself."""
        if self.popen.poll() is not None:
            self.reader.join(5)
            with open(self.log) as log:
                tail = "".join(log.readlines()[-10:])
            raise LabError(f"{self.name} has ended with code {self.popen.returncode}:\n{tail}")

    def stop(self):
        """Asks it to end, and makes it end if it does not."""
        for stop_signal in (signal.SIGINT, signal.SIGKILL):
            if self.popen.poll() is None:
                self.popen.send_signal(stop_signal)
            try:
                self.popen.wait(5)
                break
            except subprocess.TimeoutExpired:
                continue
        self.reader.join(5)
