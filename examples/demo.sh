#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0

# Viewers of one stream, on this machine: how much of it do they take from each other? Four of a live stream,
# if nothing else is said; `examples/demo.sh --help` tells the options.
#
# Installs what is missing, builds the plugin and the tracker, and then plays for a minute; see
# examples/demo.py for what happens there. Settings, as environment variables:
#
#   DURATION        seconds from the last viewer's start (60)
#   VIEWERS         how many viewers (4)
#   MIN_EFFICIENCY  per cent that must come from peers (60)
#   KEEP=1          keep the stream, the viewers' files and their logs
#
# Sixteen viewers, three segments of two seconds behind live, and four of a film:
#
#   examples/demo.sh --viewers 16 --light --duration 120 --min-efficiency 92 --quiet
#   examples/demo.sh --vod --stagger 15 --min-efficiency 70 --quiet

set -euo pipefail
cd "$(dirname "$0")/.."
source examples/setup.sh

need_packages "${PACKAGES_BUILD[@]}" "${PACKAGES_PLAY[@]}" "${PACKAGES_STREAM[@]}"
need_rust
build_release

exec "$PYTHON" examples/demo.py --plugins "$TARGET/plugins" --tracker "$TARGET/release/p2phls-tracker" "$@"
