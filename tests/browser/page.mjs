// SPDX-License-Identifier: MPL-2.0

// A viewer as web sites have it: `?playlist=URL&tracker=URL`. `window.stats` says how it is doing.

import Hls from "hls.js";
import { HlsJsP2PEngine } from "p2p-media-loader-hlsjs";

const query = new URLSearchParams(location.search);
const video = document.querySelector("video");
const bytes = { http: 0, p2p: 0 };
const segments = { http: 0, p2p: 0 };
const errors = [];
const peers = new Set();
let uploaded = 0;
let stalls = 0;
let verified = 0;

const same = (a, b) => a.length === b.length && a.every((byte, n) => byte === b[n]);

// p2p-media-loader asks this about each segment that a peer has sent.
async function validateP2PSegment(url, _byteRange, data) {
  const answer = await fetch(`${url}?verify`);
  const good = same(new Uint8Array(await answer.arrayBuffer()), new Uint8Array(data));
  if (good) verified += 1;
  else errors.push(`bytes differ from ${url}`);
  return good;
}

const P2PHls = HlsJsP2PEngine.injectMixin(Hls);
const hls = new P2PHls({
  // On live, 15 s of what is buffered come over HTTP, and peers give what lies further ahead. Left to
  // itself, the engine raises this to the whole window, but at times too late for where hls.js starts.
  liveSyncDurationCount: 13,
  p2p: {
    core: {
      announceTrackers: [query.get("tracker")],
      rtcConfig: { iceServers: [] },
      validateP2PSegment,
    },
    onHlsJsCreated({ p2pEngine: engine }) {
      engine.addEventListener("onPeerConnect", ({ peerId }) => peers.add(peerId));
      engine.addEventListener("onPeerClose", ({ peerId }) => peers.delete(peerId));
      engine.addEventListener("onPeerError", ({ error }) => {
        // A peer that leaves is an error to Chromium, whoever it is.
        if (!/User-Initiated Abort/.test(error)) errors.push(`peer: ${error}`);
      });
      engine.addEventListener("onTrackerError", ({ error }) => errors.push(`tracker: ${error}`));
      engine.addEventListener("onSegmentError", ({ error }) => errors.push(`segment: ${error?.type} ${error}`));
      engine.addEventListener("onSegmentLoaded", ({ downloadSource }) => (segments[downloadSource] += 1));
      engine.addEventListener("onChunkDownloaded", (length, source) => (bytes[source] += length));
      engine.addEventListener("onChunkUploaded", (length) => (uploaded += length));
    },
  },
});
hls.on(Hls.Events.ERROR, (_event, { details, error }) => {
  if (details === Hls.ErrorDetails.BUFFER_STALLED_ERROR) stalls += 1;
  else errors.push(`hls.js: ${details} ${error}`);
});
hls.loadSource(query.get("playlist"));
hls.attachMedia(video);

Object.defineProperty(window, "stats", {
  get: () => ({
    bytes, segments, uploaded, verified, stalls, errors,
    peers: [...peers], time: video.currentTime, ended: video.ended,
  }),
});
