# SPDX-License-Identifier: MPL-2.0

# What came of several checks, of which none keeps the next from being run. To be sourced.

names=() results=()

# note NAME RESULT: ok, FAILED or SKIPPED.
note() { names+=("$1") results+=("$2"); }

# report: says what came of all; false where one failed.
report() {
  local n failed=0
  for n in "${!names[@]}"; do
    printf '%-8s%s\n' "${results[n]}" "${names[n]}"
    [[ ${results[n]} != FAILED ]] || failed=1
  done
  return "$failed"
}
