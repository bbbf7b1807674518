// SPDX-License-Identifier: MPL-2.0

//! Floor 1: what do the bytes say about time and framing? Looks into MPEG-TS and fragmented MP4
//! just far enough to place a segment on the timeline and to tell media from garbage; pure.
