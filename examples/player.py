#!/usr/bin/python3
# SPDX-License-Identifier: MPL-2.0
"""A player in PyGObject: playbin3 with p2phlssrc, and its statistics on the terminal.

    examples/player.py p2p+https://cdn.example/live.m3u8 --set trackers=wss://tracker.example

Properties of the source are set where any application would: in playbin3's `source-setup` signal.
With --headless nothing is shown or heard, but everything is decoded in real time.
"""

import argparse
import signal
import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst

MEGABYTE = 1_000_000


class Player:
    def __init__(self, uri, properties, headless, stats_interval):
        self.properties = {"stats-interval": str(stats_interval), **properties}
        self.loop = GLib.MainLoop()
        self.error = None
        self.playbin = Gst.ElementFactory.make("playbin3")
        if self.playbin is None:
            raise SystemExit("playbin3 is missing: install GStreamer's base plugins")
        self.playbin.set_property("uri", uri)
        self.playbin.connect("source-setup", self.setup_source)
        if headless:
            for name in ("video-sink", "audio-sink"):
                sink = Gst.ElementFactory.make("fakesink")
                sink.set_property("sync", True)
                self.playbin.set_property(name, sink)
        bus = self.playbin.get_bus()
        bus.add_signal_watch()
        bus.connect("message", self.handle)

    def setup_source(self, _playbin, source):
        for name, value in self.properties.items():
            if source.find_property(name) is None:
                print(f"{source.get_name()} has no property {name}", file=sys.stderr)
            else:
                # Takes text for every type, as gst-launch does.
                Gst.util_set_object_arg(source, name, value)

    def handle(self, _bus, message):
        if message.type == Gst.MessageType.EOS:
            self.loop.quit()
        elif message.type == Gst.MessageType.ERROR:
            error, debug = message.parse_error()
            self.error = f"{error.message}\n{debug}"
            self.loop.quit()
        elif message.type == Gst.MessageType.WARNING:
            print(message.parse_warning()[0].message, file=sys.stderr)
        elif message.type == Gst.MessageType.BUFFERING:
            # The source asks for a pause when it has run dry.
            ready = message.parse_buffering() == 100
            self.playbin.set_state(Gst.State.PLAYING if ready else Gst.State.PAUSED)
        elif message.type == Gst.MessageType.ELEMENT and message.get_structure().has_name("p2phls-stats"):
            print_stats(message.get_structure())

    def play(self):
        """Plays to the end or until Ctrl-C; gives the error, if there was one."""
        self.playbin.set_state(Gst.State.PLAYING)
        try:
            self.loop.run()
        finally:
            self.playbin.set_state(Gst.State.NULL)
        return self.error


def print_stats(stats):
    print(
        f"from peers {stats.get_value('peer-bytes') / MEGABYTE:7.1f} MB"
        f"   HTTP {stats.get_value('http-bytes') / MEGABYTE:7.1f} MB"
        f"   efficiency {stats.get_value('peer-efficiency'):4.0%}"
        f"   up {stats.get_value('upload-bytes') / MEGABYTE:6.1f} MB"
        f"   peers {stats.get_value('peers')} of {stats.get_value('swarm-size')}"
        f"   buffer {stats.get_value('buffer-level') / Gst.SECOND:4.1f} s"
        f"   stalls {stats.get_value('stalls')}",
        flush=True,
    )


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("uri", help="p2p+http(s)://... of an HLS playlist")
    parser.add_argument("--set", action="append", default=[], metavar="PROPERTY=VALUE", help="of p2phlssrc")
    parser.add_argument("--headless", action="store_true", help="decode in real time, show nothing")
    parser.add_argument("--stats-interval", type=int, default=1000, metavar="MS")
    arguments = parser.parse_args()
    for setting in arguments.set:
        if "=" not in setting:
            parser.error(f"--set {setting}: PROPERTY=VALUE expected")
    return arguments


def main():
    arguments = parse_arguments()
    Gst.init(None)
    if Gst.ElementFactory.find("p2phlssrc") is None:
        raise SystemExit("GStreamer does not know p2phlssrc: does GST_PLUGIN_PATH name its directory?")
    properties = dict(setting.split("=", 1) for setting in arguments.set)
    player = Player(arguments.uri, properties, arguments.headless, arguments.stats_interval)
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, signal_number, player.loop.quit)
    sys.exit(player.play())


if __name__ == "__main__":
    main()
