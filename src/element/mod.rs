// SPDX-License-Identifier: MPL-2.0

//! Floor 5: the GStreamer face.
