#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0

# Runs what was built here, with the GStreamer that is installed here, in a Debian 13 root with GStreamer 1.26: the test
# programs, and the plugin in Python. Needs root and debootstrap.
#
#   tests/debian13.sh [TEST...]       all tests, or those of these names
#
# The root is made once and kept in target/debian13 (DEBIAN13_ROOT), from the mirror that this machine's own apt uses
# (DEBIAN_MIRROR). In there the checkout can be read only, and the only network is loopback.

set -euo pipefail
cd "$(dirname "$0")/.."
source examples/setup.sh
source tests/checks.sh

checkout=$PWD
root=$(realpath -m "${DEBIAN13_ROOT:-$TARGET/debian13}")
((EUID == 0)) || give_up "has to mount and to change the root: run it as root"

# inside COMMAND...: runs it in the root, with a network. Nothing that it starts lives on.
inside() {
  unshare --mount --pid --fork --kill-child bash -c '
    root=$1; shift
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    exec chroot "$root" "$@"' inside "$root" "$@"
}

make_root() {
  need_packages debootstrap
  local mirror=${DEBIAN_MIRROR:-}
  [[ -n $mirror ]] || mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 'Component: main' 2>/dev/null |
    grep -v security | head -n 1)
  [[ -n $mirror ]] || give_up "apt knows no mirror of Debian here: name one in DEBIAN_MIRROR"
  say "Making a Debian 13 root in $root"
  rm -rf --one-file-system "$root"
  mkdir -p "$root"
  debootstrap --variant=minbase --include=ca-certificates trixie "$root" "$mirror" >"$root.log" 2>&1 ||
    give_up "debootstrap failed: see $root.log"
  # Packages of servers would start them.
  printf '#!/bin/sh\nexit 101\n' | install -m 755 /dev/stdin "$root/usr/sbin/policy-rc.d"
  cp -L /etc/resolv.conf "$root/etc/resolv.conf"
  inside apt-get -qq update
  inside env DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends \
    "${PACKAGES_PLAY[@]}" "${PACKAGES_STREAM[@]}" "${PACKAGES_TESTS[@]}" "${PACKAGES_PYTHON[@]}" </dev/null >>"$root.log" 2>&1 ||
    give_up "the packages could not be installed: see $root.log"
  touch "$root/.ready"
}

# confined COMMAND...: runs it in the root at the checkout's own path, with loopback only.
confined() {
  unshare --mount --net --pid --fork --kill-child bash -c '
    root=$1 checkout=$2 target=$3; shift 3
    # Names of .local are asked for by multicast.
    ip link set lo up multicast on
    ip route add 224.0.0.0/4 dev lo
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    mkdir -p "$root$checkout" "$root$target" "$target/tmp"
    mount --bind "$checkout" "$root$checkout"
    mount -o remount,bind,ro "$root$checkout"
    [[ $target == "$checkout"/* ]] || { mount --bind "$target" "$root$target"; mount -o remount,bind,ro "$root$target"; }
    # Streams for the tests are made by the root'\''s own ffmpeg.
    mount -t tmpfs tmpfs "$root$target/tmp"
    cd "$root$checkout"
    exec chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TMPDIR=/tmp \
      CARGO_MANIFEST_DIR="$checkout" GST_PLUGIN_PATH="$target/plugins" ${P2PHLS_PACKAGER:+P2PHLS_PACKAGER="$P2PHLS_PACKAGER"} \
      /bin/sh -c "cd \"$checkout\" && exec \"\$@\"" confined "$@"' confined "$root" "$checkout" "$(realpath "$TARGET")" "$@"
}

[[ -e $root/.ready ]] || make_root
need_rust
need_packager || echo "Without Shaka Packager the tests with its streams are skipped."

say "Building the tests here"
cargo build --locked --features tracker,sim --lib --bins --tests
collect_plugin debug
# Each with its name: the libraries' own tests, and those in tests/.
mapfile -t programs < <(
  cargo test --locked --features tracker,sim --no-run 2>&1 |
    sed -nE 's/^ *Executable (unittests |tests\/)?([^ ]+) \((.+)\)$/\2 \3/p'
)
((${#programs[@]})) || give_up "cargo names no test programs"

# check NAME COMMAND...: runs on after a failure, so that one run tells everything.
check() {
  local name=$1 result=ok
  shift
  say "$name"
  confined "$@" </dev/null || result=FAILED
  note "$name" "$result"
}

confined gst-inspect-1.0 --version
check "element" gst-inspect-1.0 --exists p2phlssrc
for program in "${programs[@]}"; do
  read -r source path <<<"$program"
  name=$(basename "${source%.rs}")
  [[ $name != main ]] || name=$(basename "$(dirname "$source")")
  # Measures, and tests nothing.
  [[ $name != tracker_load ]] || continue
  (($# == 0)) || [[ " $* " == *" $name "* ]] || continue
  check "$name" "$(realpath "$path")" --test-threads 2
done
(($#)) || check "Python" python3 tests/test_python.py

say "summary, Debian 13"
report
