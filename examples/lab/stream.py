# SPDX-License-Identifier: MPL-2.0
"""HLS streams made by ffmpeg from test sources, and what a viewer's bytes have to be."""

import subprocess
from pathlib import Path

from .process import LabError, Process, program

FONT = Path("/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf")


def encoder(size, rate, kbits, segment_seconds):
    """ffmpeg's words for a picture with a clock in it and a tone, at a constant bit rate."""
    picture = f"testsrc2=size={size}:rate={rate}"
    if FONT.exists():
        clock = r"text='%{localtime\:%H\\\:%M\\\:%S}':fontsize=h/8:fontcolor=white:box=1:boxcolor=black@0.6"
        picture += f",drawtext=fontfile={FONT}:{clock}:x=w/20:y=h/20"
    video_kbits = kbits - 128 - kbits // 20  # sound, and what the container adds
    keyframes = rate * segment_seconds
    return [
        *("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-pix_fmt", "yuv420p"),
        *("-g", keyframes, "-keyint_min", keyframes, "-sc_threshold", 0),
        *("-b:v", f"{video_kbits}k", "-maxrate", f"{video_kbits}k", "-bufsize", f"{video_kbits}k"),
        # Test pictures are so simple that only filling them up makes the bytes of a real stream.
        *("-x264-params", "nal-hrd=cbr:force-cfr=1"),
        *("-c:a", "aac", "-b:a", "128k", "-ac", 2),
    ]


class LiveStream:
    """A live stream that goes on until it is stopped; all segments stay on disk, to compare with."""

    def __init__(self, directory, log, segment_seconds=2, window=8, kbits=2000):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        command = [
            *(program("ffmpeg"), "-hide_banner", "-loglevel", "warning", "-nostdin", "-re"),
            *encoder("640x360", 25, kbits, segment_seconds),
            *("-f", "hls", "-hls_time", segment_seconds, "-hls_list_size", window),
            *("-hls_flags", "temp_file+independent_segments"),
            *("-hls_segment_filename", self.directory / "live%06d.ts", self.directory / "live.m3u8"),
        ]
        self.process = Process("ffmpeg", command, log)
        self.name = "live.m3u8"

    def segments(self):
        return sorted(self.directory.glob("live*.ts"))

    def check(self):
        self.process.check()

    def stop(self):
        self.process.stop()


class Film:
    """The same as video on demand: all of it is there from the start."""

    def __init__(self, directory, seconds, segment_seconds=2, kbits=2000):
        self.directory = Path(directory)
        make_vod(directory, seconds, kbits, "640x360", 25, segment_seconds)
        self.name = "vod.m3u8"

    def segments(self):
        return sorted(self.directory.glob("vod*.ts"))

    def check(self):
        pass

    def stop(self):
        pass


def make_vod(directory, seconds, kbits, size="1280x720", rate=25, segment_seconds=6, name="vod"):
    """Makes a stream of that length, unless it is there from before; gives its playlist."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    playlist = directory / f"{name}.m3u8"
    if playlist.exists():
        return playlist
    # The playlist comes last and under its name only when everything else is there.
    unfinished = directory / f"{name}-unfinished.m3u8"
    command = [
        *(program("ffmpeg"), "-hide_banner", "-loglevel", "error", "-nostdin", "-y"),
        *encoder(size, rate, kbits, segment_seconds),
        *("-t", seconds, "-f", "hls", "-hls_time", segment_seconds, "-hls_playlist_type", "vod"),
        *("-hls_segment_filename", directory / f"{name}%05d.ts", unfinished),
    ]
    try:
        subprocess.run([str(word) for word in command], check=True)
    except subprocess.CalledProcessError as error:
        raise LabError(f"ffmpeg could not make the stream: {error}") from error
    unfinished.rename(playlist)
    return playlist


def compare(output, segments):
    """Compares a viewer's file with the origin's segments.

    The file must be a run of segments without a gap, from the start of one; the last may be cut
    short. Gives the number of whole segments; raises LabError with what is wrong.
    """
    data = Path(output).read_bytes()
    if not data:
        raise LabError("no bytes")
    contents = [segment.read_bytes() for segment in segments]
    first = next((n for n, content in enumerate(contents) if agree(data, content)), None)
    if first is None:
        raise LabError("does not begin with a segment of the origin")
    at, whole = 0, 0
    for segment, content in zip(segments[first:], contents[first:]):
        rest = data[at : at + len(content)]
        if not agree(rest, content):
            raise LabError(f"differs from {segment.name} after {whole} segments, {at} bytes")
        at += len(rest)
        whole += len(rest) == len(content)
        if at == len(data):
            return whole
    raise LabError(f"has {len(data) - at} bytes more than the origin")


def agree(data, content):
    """Whether the shorter is how the longer begins."""
    length = min(len(data), len(content))
    return data[:length] == content[:length]
