# SPDX-License-Identifier: MPL-2.0
"""The publisher's HTTP server: nginx with a configuration of its own, in a directory of its own."""

import collections
import socket
import urllib.error
import urllib.request
from pathlib import Path

from .process import LabError, Process, program, wait_for

CONFIGURATION = """
daemon off;
master_process off;
pid {run}/nginx.pid;
error_log {run}/error.log;
events {{ worker_connections 256; }}
http {{
    types {{
        text/html html;
        text/javascript js mjs;
        application/vnd.apple.mpegurl m3u8;
        video/mp2t ts;
        video/mp4 mp4 m4s;
    }}
    default_type application/octet-stream;
    sendfile on;
    tcp_nodelay on;
    keepalive_requests 100000;
    log_format bytes '$status $body_bytes_sent $uri $http_user_agent';
    access_log {run}/access.log bytes;
    client_body_temp_path {run}/body;
    proxy_temp_path {run}/proxy;
    fastcgi_temp_path {run}/fastcgi;
    uwsgi_temp_path {run}/uwsgi;
    scgi_temp_path {run}/scgi;
    map $uri $cache_control {{ ~\\.m3u8$ no-cache; }}
    server {{
        listen 127.0.0.1:{port};
        root {root};
        add_header Cache-Control $cache_control;
        # Pages of other servers may play it.
        add_header Access-Control-Allow-Origin *;
    }}
}}
"""


class Origin:
    """Serves `root` on a port of 127.0.0.1, a free one if none is given; `run` takes the logs."""

    def __init__(self, root, run, port=None):
        self.run = Path(run)
        self.run.mkdir(parents=True, exist_ok=True)
        for _ in range(1 if port else 5):
            self.port = port or free_port()
            configuration = self.run / "nginx.conf"
            configuration.write_text(CONFIGURATION.format(run=self.run, root=root, port=self.port))
            command = [program("nginx"), "-e", self.run / "error.log", "-p", self.run, "-c", configuration]
            self.process = Process("nginx", command, self.run / "nginx.log")
            ended = lambda: self.process.popen.poll() is not None
            wait_for(lambda: ended() or answers(self.port), 10, "nginx to answer")
            # Somebody else may have taken the port in between.
            if not ended():
                return
        raise LabError(f"nginx does not start:\n{(self.run / 'error.log').read_text()}")

    def url(self, name):
        return f"http://127.0.0.1:{self.port}/{name}"

    def served(self, suffix):
        """Bytes of answers about files with this ending."""
        lines = [line.split(" ", 3) for line in (self.run / "access.log").read_text().splitlines()]
        return sum(int(line[1]) for line in lines if len(line) == 4 and line[2].endswith(suffix))

    def requests(self, suffix):
        """How often files with this ending were asked for, by name."""
        lines = [line.split(" ", 3) for line in (self.run / "access.log").read_text().splitlines()]
        return collections.Counter(Path(line[2]).name for line in lines if line[2].endswith(suffix))

    def stop(self):
        self.process.stop()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def answers(port):
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1).close()
    except urllib.error.HTTPError as error:
        error.close()
        return True
    except OSError:
        return False
    return True
