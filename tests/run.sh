#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0

# Every check there is, as it runs for each change. Installs what is missing.

set -euo pipefail
cd "$(dirname "$0")/.."
source examples/setup.sh

need_packages "${PACKAGES_BUILD[@]}" "${PACKAGES_PLAY[@]}" "${PACKAGES_STREAM[@]}" "${PACKAGES_PYTHON[@]}"
need_rust rustfmt clippy

export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never}
log=$(mktemp -d)
trap 'rm -rf "$log"' EXIT
names=() results=()

# check NAME COMMAND...: runs on after a failure, so that one run tells everything.
check() {
  local name=$1 result=ok
  shift
  say "$name"
  "$@" </dev/null 2>&1 | tee -a "$log/output" || result=FAILED
  names+=("$name") results+=("$result")
}

scripts() { bash -n examples/*.sh tests/*.sh .ci/run; }

python_test() {
  collect_plugin debug
  GST_PLUGIN_PATH=$TARGET/plugins "$PYTHON" tests/test_python.py
}

check "format" cargo fmt --check
check "lints" cargo clippy --locked --all-targets --features tracker -- -D warnings
check "scripts" scripts
check "tracker without GStreamer" cargo build --locked --no-default-features --features tracker
check "plugin" cargo build --locked --features tracker
check "tests" cargo test --locked --features tracker --no-fail-fast
check "Python" python_test

say "summary"
grep -E '^(test result:|Ran [0-9]+ tests?|OK$|FAILED \()' "$log/output" || true
failed=0
for n in "${!names[@]}"; do
  printf '%-8s%s\n' "${results[n]}" "${names[n]}"
  [[ ${results[n]} == ok ]] || failed=1
done
exit "$failed"
