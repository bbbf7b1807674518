// SPDX-License-Identifier: MPL-2.0

//! Floor 3: one whole viewer as a pure machine.
