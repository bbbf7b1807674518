#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0

# A live stream at http://127.0.0.1:8080/live.m3u8 and a tracker at ws://127.0.0.1:8000, until Ctrl-C;
# and the plugin in target/plugins. For trying players by hand.

set -euo pipefail
cd "$(dirname "$0")/.."
source examples/setup.sh

need_packages "${PACKAGES_BUILD[@]}" "${PACKAGES_PLAY[@]}" "${PACKAGES_WINDOW[@]}" "${PACKAGES_STREAM[@]}" \
  "${PACKAGES_PYTHON[@]}"
need_rust
build_release

exec "$PYTHON" examples/serve.py --tracker "$TARGET/release/p2phls-tracker" "$@"
