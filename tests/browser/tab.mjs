// SPDX-License-Identifier: MPL-2.0

// Opens a page in a headless Chromium: `tab.mjs CHROMIUM URL`. Prints the page's `stats` as lines of
// JSON until it is interrupted.

import { setTimeout as sleep } from "node:timers/promises";
import { chromium } from "playwright-core";

const [executablePath, url] = process.argv.slice(2);
const args = [
  "--no-sandbox",
  "--disable-gpu",
  // Viewers on one machine: loopback addresses must be offered, and under their own names.
  "--allow-loopback-in-peer-connection",
  "--disable-features=WebRtcHideLocalIpsWithMdns",
  "--autoplay-policy=no-user-gesture-required",
  // No calls home.
  "--no-first-run",
  "--disable-quic",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

let stopping = false;
process.once("SIGINT", () => (stopping = true));

const browser = await chromium.launch({ executablePath, args, handleSIGINT: false });
try {
  const page = await browser.newPage();
  page.on("console", (message) => console.log(`console: ${message.text()}`));
  page.on("pageerror", (error) => console.log(`page error: ${error}`));
  await page.goto(url);
  while (!stopping) {
    console.log(JSON.stringify(await page.evaluate(() => window.stats ?? {})));
    await sleep(250);
  }
} finally {
  await browser.close();
}
