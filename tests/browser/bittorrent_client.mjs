// SPDX-License-Identifier: MPL-2.0

// bittorrent-tracker's own client, as it comes from npm, in Chromium: `bittorrent_client.mjs CHROMIUM TRACKER`.
// Three pages join two swarms each, connect to each other and exchange a message; one leaves. Prints what they saw.

import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { chromium } from "playwright-core";

const [executablePath, tracker] = process.argv.slice(2);
const bundle = await build({
  stdin: { contents: 'export { default } from "bittorrent-tracker/client";', resolveDir: fileURLToPath(new URL(".", import.meta.url)) },
  bundle: true,
  format: "iife",
  globalName: "bittorrentTracker",
  write: false,
  define: { global: "globalThis", "process.browser": "true" },
  logLevel: "error",
});
const script = bundle.outputFiles[0].text;

/** Runs in the page: a client for a swarm, and what it sees. */
function join({ tracker, swarm, name }) {
  const Client = window.bittorrentTracker.default ?? window.bittorrentTracker;
  const seen = ((window.seen ??= {})[swarm] = { updates: [], connected: 0, heard: [], warnings: [], errors: [], scrape: null });
  // Ids are given in hexadecimal.
  const peerId = [...name].map((letter) => letter.charCodeAt(0).toString(16)).join("");
  const client = new Client({ infoHash: swarm, peerId, announce: [tracker], rtcConfig: { iceServers: [] } });
  (window.clients ??= {})[swarm] = client;
  client.on("update", ({ complete, incomplete }) => seen.updates.push({ complete, incomplete }));
  client.on("warning", (warning) => seen.warnings.push(String(warning)));
  client.on("error", (error) => seen.errors.push(String(error)));
  client.on("scrape", (data) => (seen.scrape = { complete: data.complete, incomplete: data.incomplete }));
  client.on("peer", (peer) => {
    peer.on("connect", () => {
      seen.connected += 1;
      peer.send(name);
    });
    peer.on("data", (data) => seen.heard.push(new TextDecoder().decode(data)));
    peer.on("error", () => {});
  });
  client.start();
}

const args = ["--no-sandbox", "--disable-gpu", "--allow-loopback-in-peer-connection",
  "--disable-features=WebRtcHideLocalIpsWithMdns", "--disable-background-networking"];
const browser = await chromium.launch({ executablePath, args });
const swarms = ["0123456789abcdef0123456789abcdef01234567", "ff".repeat(20)];
const name = (number) => `-XX0001-page${String(number).padStart(8, "0")}`;
try {
  const pages = [];
  const until = async (what, page, condition, argument) => {
    const end = Date.now() + 30_000;
    while (!(await page.evaluate(condition, argument))) {
      if (Date.now() > end) throw new Error(`${what}: ${JSON.stringify(await page.evaluate(() => window.seen))}`);
      await sleep(100);
    }
  };
  for (const number of [1, 2, 3]) {
    const page = await (await browser.newContext()).newPage();
    page.on("pageerror", (error) => console.error(`page error: ${error}`));
    // What bundlers for browsers put in place of Node.js' own.
    await page.evaluate("window.process = { nextTick: (f, ...a) => queueMicrotask(() => f(...a)), env: {} }");
    await page.addScriptTag({ content: script });
    for (const swarm of swarms) await page.evaluate(join, { tracker, swarm, name: name(number) });
    for (const swarm of swarms) {
      await until("an update", page, (swarm) => window.seen[swarm].updates.length > 0, swarm);
    }
    pages.push(page);
  }
  for (const page of pages) {
    for (const swarm of swarms) await until("messages from both", page, (swarm) => new Set(window.seen[swarm].heard).size === 2, swarm);
  }
  await pages[0].evaluate((swarm) => window.clients[swarm].scrape(), swarms[0]);
  await until("a scrape", pages[0], (swarm) => window.seen[swarm].scrape, swarms[0]);
  // One page leaves one of its swarms with `stopped`, and another is closed.
  await pages[1].evaluate((swarm) => window.clients[swarm].stop(), swarms[0]);
  await pages[2].context().close();
  await until("both to be gone", pages[0], (swarm) => {
    window.clients[swarm].scrape();
    return window.seen[swarm].scrape.incomplete === 1;
  }, swarms[0]);
  console.log(JSON.stringify(await pages[0].evaluate(() => window.seen)));
} finally {
  await browser.close();
}
