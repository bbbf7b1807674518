// SPDX-License-Identifier: MPL-2.0

//! Floor 2: where does each byte come from? Estimates, election and the plan; pure.
