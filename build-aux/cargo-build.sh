#!/bin/sh
# SPDX-License-Identifier: MPL-2.0

# Between meson and cargo: cargo-build.sh CARGO SOURCE TARGET_DIR PROFILE plugin|tracker OUTPUT

set -eu
cargo=$1 source=$2 target_dir=$3 profile=$4 what=$5 output=$(realpath "$6")
cd "$source"
directory=$profile
[ "$profile" != dev ] || directory=debug
case $what in
  plugin)
    "$cargo" cbuild --locked --profile "$profile" --target-dir "$target_dir" --library-type cdylib
    # cargo-c always names the platform in the path.
    host=$(rustc -vV | sed -n 's/^host: //p')
    cp "$target_dir/${CARGO_BUILD_TARGET:-$host}/$directory/libgstp2phls.so" "$output"
    ;;
  tracker)
    "$cargo" build --locked --profile "$profile" --target-dir "$target_dir" \
      --no-default-features --features tracker --bin p2phls-tracker
    cp "$target_dir/${CARGO_BUILD_TARGET:+$CARGO_BUILD_TARGET/}$directory/p2phls-tracker" "$output"
    ;;
esac
