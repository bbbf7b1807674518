#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0

# Every check there is, as it runs for each change. Installs what is missing.

set -euo pipefail
cd "$(dirname "$0")/.."
source examples/setup.sh
source tests/checks.sh

need_packages "${PACKAGES_BUILD[@]}" "${PACKAGES_PLAY[@]}" "${PACKAGES_STREAM[@]}" "${PACKAGES_PYTHON[@]}" \
  "${PACKAGES_TESTS[@]}"
need_rust rustfmt clippy
need_packager || echo "Without Shaka Packager the tests with its streams are skipped."

export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never}
log=$(mktemp -d)
trap 'rm -rf "$log"' EXIT

# check NAME COMMAND...: runs on after a failure, so that one run tells everything.
check() {
  local name=$1 result=ok
  shift
  say "$name"
  "$@" </dev/null 2>&1 | tee -a "$log/output" || result=FAILED
  note "$name" "$result"
}

scripts() { bash -n examples/*.sh tests/*.sh .ci/run; }

python_test() {
  collect_plugin debug
  GST_PLUGIN_PATH=$TARGET/plugins "$PYTHON" tests/test_python.py
}

trust_test() {
  collect_plugin debug
  "$PYTHON" benches/trust.py --plugins "$TARGET/plugins" --tracker "$TARGET/debug/p2phls-tracker" \
    --sim "$TARGET/debug/p2phls-sim" --duration 60
}

# have_browser: false where it cannot be installed.
have_browser() {
  local packages=(chromium)
  # The developer's own may be newer.
  command -v node >/dev/null || packages+=(nodejs)
  command -v npm >/dev/null || packages+=(npm)
  (need_packages "${packages[@]}") &&
    # What the packages' own install scripts do is for Node.js, not for browsers.
    npm ci --prefix tests/browser --ignore-scripts --no-audit --no-fund
}

browser_test() {
  collect_plugin debug
  GST_PLUGIN_PATH=$TARGET/plugins P2PHLS_TRACKER=$TARGET/debug/p2phls-tracker \
    "$PYTHON" tests/browser/test_browser.py
}

tracker_browser_test() {
  export P2PHLS_TRACKER=$TARGET/debug/p2phls-tracker
  "$PYTHON" tests/browser/test_bittorrent_client.py && "$PYTHON" tests/browser/test_dashboard.py
}

check "format" cargo fmt --check
check "lints" cargo clippy --locked --all-targets --features tracker,sim -- -D warnings
check "scripts" scripts
check "tracker without GStreamer" cargo build --locked --no-default-features --features tracker
# With the tests' own dependencies, so that these are not built a second time for the tests.
check "plugin" cargo build --locked --features tracker,sim --lib --bins --tests
check "tests" cargo test --locked --features tracker,sim --no-fail-fast
check "Python" python_test
check "simulator beside real viewers" trust_test
if have_browser; then
  check "browser" browser_test
  check "tracker in the browser" tracker_browser_test
else
  note "browser: Chromium or its npm packages could not be installed, see above" SKIPPED
fi

say "summary"
grep -E '^(test result:|Ran [0-9]+ tests?|OK$|FAILED \()' "$log/output" || true
report
