// SPDX-License-Identifier: MPL-2.0

//! Floor 1: what is there to play? HLS text in, one typed model out; pure.
