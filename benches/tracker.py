#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""p2phls-tracker beside other WebTorrent trackers: offers a CPU second, memory, joins, latency.

Each is started anew for each measurement, in turns, so that other load hits them alike; compared are
medians. Load comes from tests/tracker_load.rs.

    benches/tracker.py        installs bittorrent-tracker from npm into target/npm if it is not there

aquatic_ws is measured, too, where target/peers/bin has it. It replies to answers, which makes the load announce
more often than its offers are answered:

    cargo install aquatic_ws@0.9.0 --root target/peers

wt-tracker is in no registry. What TLS costs ours is measured, too, with a certificate (ECDSA, P-256) that is made
for it; each connection is a whole handshake of TLS 1.3. Ends with code 1 when ours is behind the best of the others in offers a CPU
second, or misses a figure of its own that does not depend on the machine's other load: bytes a connection.
"""

import argparse
import contextlib
import json
import os
import re
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "examples"))

from lab.process import LabError, Process, program, wait_for

OURS = "p2phls-tracker"
OURS_TLS = "p2phls-tracker, wss"
NPM = ROOT / "target" / "npm"
AQUATIC = ROOT / "target" / "peers" / "bin" / "aquatic_ws"
FEATURES = ["--release", "--no-default-features", "--features", "tracker"]
MAX_BYTES = 3000
BITTORRENT_TRACKER = """
import Server from "bittorrent-tracker/server";
const server = new Server({ udp: false, http: true, ws: true, stats: false, peersCacheLength: 100000 });
server.on("error", () => {});
server.on("warning", () => {});
server.listen(Number(process.argv[2]), "127.0.0.1");
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def listens(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def certificate(directory):
    """Makes an authority and a certificate that it has signed; returns their files."""
    (directory / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
    for arguments in (
        f"req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=bench",
        f"req {key} -keyout key.pem -out new.csr -subj /CN=127.0.0.1",
        "x509 -req -in new.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out certificate.pem",
    ):
        command = [program("openssl"), *arguments.split()]
        subprocess.run(command, cwd=directory, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return directory / "ca.pem", directory / "certificate.pem", directory / "key.pem"


def trackers(directory):
    """How each tracker that is here is started on a port."""
    NPM.mkdir(parents=True, exist_ok=True)
    if not (NPM / "node_modules" / "bittorrent-tracker").exists():
        command = [program("npm"), "install", "--prefix", NPM, "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run([*command, "bittorrent-tracker@11.2.3"], check=True)
    script = NPM / "bittorrent-tracker.mjs"
    script.write_text(BITTORRENT_TRACKER)

    def aquatic(port):
        text = subprocess.run([AQUATIC, "-p"], check=True, text=True, stdout=subprocess.PIPE).stdout
        text = re.sub(r'(?m)^address = ".*"$', f'address = "127.0.0.1:{port}"', text, count=1)
        config = directory / "aquatic.toml"
        config.write_text(text)
        return [AQUATIC, "-c", config]

    _, chain, key = certificate(directory)
    ours = [ROOT / "target/release/p2phls-tracker", "--max-connections-per-address", "0", "--log", "warn"]
    tls = ["--tls-certificate", chain, "--tls-key", key]
    known = {
        OURS: lambda port: [*ours, "--listen", f"127.0.0.1:{port}"],
        OURS_TLS: lambda port: [*ours, *tls, "--listen", f"127.0.0.1:{port}"],
        "bittorrent-tracker": lambda port: [program("node"), script, port],
    }
    if AQUATIC.exists():
        known["aquatic_ws"] = aquatic
    return known


def load_program():
    command = ["cargo", "test", *FEATURES, "--test", "tracker_load", "--no-run", "--message-format", "json"]
    output = subprocess.run(command, cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE).stdout
    built = [json.loads(line) for line in output.splitlines() if '"executable":"' in line]
    return next(one["executable"] for one in built if one["target"]["name"] == "tracker_load")


def measure(load, name, start, what, directory):
    """Runs one tracker under one load; gives the load's figures."""
    port = free_port()
    log = directory / f"{name}.log"
    tracker = Process(name, start(port), log)
    try:
        wait_for(lambda: tracker.check() or listens(port), 20, f"{name} to listen")
        scheme, environment = "ws", dict(os.environ)
        if name == OURS_TLS:
            scheme, environment["P2PHLS_LOAD_CA"] = "wss", str(directory / "ca.pem")
        command = [load, f"{scheme}://127.0.0.1:{port}", str(tracker.popen.pid), *map(str, what)]
        load_run = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, timeout=300, env=environment)
        tracker.check()
    finally:
        tracker.stop()
    return json.loads(load_run.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--joins", type=int, default=19000)
    options = parser.parse_args()
    # A connection is a file, on both sides.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    joins = min(options.joins, hard - 500)

    subprocess.run(["cargo", "build", *FEATURES, "--bin", "p2phls-tracker"], cwd=ROOT, check=True)
    load = load_program()
    loads = {
        "saturated": ["relay", 1000, options.seconds],
        "500 announces/s": ["paced", 1000, options.seconds, 500],
        "idle": ["idle", joins],
    }
    with tempfile.TemporaryDirectory(prefix="p2phls-bench-") as directory:
        directory = Path(directory)
        known = trackers(directory)
        results = {(name, kind): [] for name in known for kind in loads}
        for round_number in range(options.rounds):
            for kind, what in loads.items():
                for name, start in known.items():
                    result = measure(load, name, start, what, directory)
                    results[name, kind].append(result)
                    print(f"round {round_number + 1}, {kind}, {name}: {json.dumps(result)}", file=sys.stderr)

    median = lambda name, kind, field: statistics.median(result[field] for result in results[name, kind])
    rows = [
        ("offers a CPU second, saturated", "saturated", "per_cpu", "{:,.0f}"),
        ("offers a second, saturated", "saturated", "offers", "{:,.0f}"),
        ("offers a CPU second, 500 announces/s", "500 announces/s", "per_cpu", "{:,.0f}"),
        ("offers under way, p50, ms", "500 announces/s", "p50", "{:.2f}"),
        ("offers under way, p99, ms", "500 announces/s", "p99", "{:.2f}"),
        ("bytes an idle connection", "idle", "bytes", "{:,.0f}"),
        (f"{joins:,} joins, CPU seconds", "idle", "cpu", "{:.2f}"),
    ]
    others = [name for name in known if name != OURS]
    print(f"\n| median of {options.rounds} | {OURS} | " + " | ".join(f"{name} | ratio" for name in others) + " |")
    print("| --- |" + " --- |" * (1 + 2 * len(others)))
    for title, kind, field, form in rows:
        mine = median(OURS, kind, field)
        cells = [form.format(mine)]
        for name in others:
            theirs = median(name, kind, field)
            cells += [form.format(theirs), f"{mine / theirs:.2f}" if theirs else "-"]
        print(f"| {title} | " + " | ".join(cells) + " |")
    best = max(median(name, "saturated", "per_cpu") for name in others if name != OURS_TLS)
    behind = median(OURS, "saturated", "per_cpu") < best
    heavy = median(OURS, "idle", "bytes") > MAX_BYTES
    sys.exit(behind or heavy)


if __name__ == "__main__":
    try:
        main()
    except LabError as error:
        sys.exit(f"tracker.py: {error}")
