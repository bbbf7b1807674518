#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""The same sixteen viewers, real and simulated: do the two agree?

Plays a live stream with sixteen elements, a tracker and an nginx on this machine, runs the same scenario in the
simulator, and fails if their peer efficiencies are more than five points apart. Once as it is on one machine, with
links faster than anything needs, and with --shaped once more with uplinks of 4 Mbit/s each, for which it needs root:
a network namespace of its own, in which each viewer has an address of 127.0.0.0/8 whose packets are shaped.

    examples/demo.sh --duration 1 --min-efficiency 0     # builds the plugin and the tracker
    cargo build --release --no-default-features --features sim
    benches/trust.py --shaped
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "examples"))

import demo  # noqa: E402
from lab.process import LabError, program  # noqa: E402

VIEWERS = 16
STAGGER_SECONDS = 1
POINTS = 5
SHAPED_MBITS = 4
# A home router's buffer, in packets: about 0.2 s.
SHAPED_QUEUE = 80


def main():
    arguments = parse_arguments()
    if arguments.inside:
        shape()
        return measure(arguments, "real-16-shaped.toml")
    failed = measure(arguments, "real-16.toml")
    if arguments.shaped:
        # Everything anew in a network of its own.
        command = [program("unshare"), "--net", sys.executable, __file__, "--inside", *sys.argv[1:]]
        failed |= subprocess.run(command).returncode != 0
    return failed


def shape():
    """Gives each viewer's address an uplink; only this process and its children see this network."""
    tc = lambda *words: subprocess.run([program("tc"), *map(str, words)], check=True)
    subprocess.run([program("ip"), "link", "set", "lo", "up"], check=True)
    tc("qdisc", "add", "dev", "lo", "root", "handle", "1:", "htb")
    for number in range(2, VIEWERS + 2):
        rate = f"{SHAPED_MBITS}mbit"
        tc("class", "add", "dev", "lo", "parent", "1:", "classid", f"1:{number:x}", "htb", "rate", rate)
        tc("qdisc", "add", "dev", "lo", "parent", f"1:{number:x}", "pfifo", "limit", SHAPED_QUEUE)
        source = ["match", "ip", "src", f"127.0.0.{number}/32"]
        tc("filter", "add", "dev", "lo", "parent", "1:", "protocol", "ip", "u32", *source, "flowid", f"1:{number:x}")


def measure(arguments, scenario):
    """Runs one scenario both ways and tells. True if they do not agree."""
    simulated = simulate(arguments, scenario)
    real = play(arguments)
    print(f"\n{scenario:<26}{'real':>10}{'simulated':>12}{'apart':>10}")
    failed = False
    for what in real:
        apart = abs(real[what] - simulated[what]) * 100
        print(f"{what:<26}{real[what]:>10.1%}{simulated[what]:>12.1%}{apart:>8.1f} points")
        failed |= apart > POINTS
    print("FAILED: they are too far apart" if failed else f"OK: within {POINTS} points", flush=True)
    return failed


def simulate(arguments, scenario):
    """The mean of a few seeds."""
    seeds = range(1, 6)
    sums = {}
    for seed in seeds:
        with tempfile.NamedTemporaryFile(suffix=".json") as figures:
            path = ROOT / "examples" / "scenarios" / scenario
            end = (VIEWERS - 1) * STAGGER_SECONDS + arguments.duration
            options = ["--quiet", "--seed", seed, "--duration", end, "--json", figures.name]
            command = [arguments.sim, "run", path, *options]
            subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)
            report = json.load(figures)[0]
        if report["rebuffer_ratio"] > 0:
            print(f"seed {seed}: the simulated viewers stood still for {report['rebuffer_ratio']:.2%} of the time")
        names = {"efficiency": "peer_efficiency", "after all have come": "peer_efficiency_after_warm_up"}
        for what, name in names.items():
            sums[what] = sums.get(what, 0) + report[name] / len(seeds)
    return sums


def play(arguments):
    """The same of real elements."""
    arguments = argparse.Namespace(
        **vars(arguments), viewers=VIEWERS, stagger=STAGGER_SECONDS, vod=False, light=True, quiet=True
    )
    with tempfile.TemporaryDirectory(prefix="p2phls-trust-") as directory, contextlib.ExitStack() as stack:
        viewers, stream, origin, settled = demo.run(arguments, Path(directory), stack)
        wrong = demo.conclude(viewers, stream, origin, settled, 0)
        totals = [sum(viewer[name] for viewer in viewers) for name in ("peer-bytes", "http-bytes")]
    if wrong:
        print("\n".join(wrong))
    return {
        "efficiency": demo.efficiency(*totals),
        "after all have come": demo.settled_efficiency(viewers),
    }


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    path = lambda text: Path(text).resolve()
    parser.add_argument("--plugins", type=path, default=target / "plugins", help="directory with the plugin")
    parser.add_argument("--tracker", type=path, default=target / "release" / "p2phls-tracker")
    parser.add_argument("--sim", type=path, default=target / "release" / "p2phls-sim")
    parser.add_argument("--duration", type=float, default=90, help="seconds from the last viewer's start")
    parser.add_argument("--shaped", action="store_true", help="once more with narrow uplinks; needs root")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (LabError, subprocess.CalledProcessError) as error:
        sys.exit(f"{error}")
