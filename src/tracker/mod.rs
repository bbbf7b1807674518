// SPDX-License-Identifier: MPL-2.0

//! Floor 2 and up: the server that introduces viewers to each other.
