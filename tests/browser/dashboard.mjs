// SPDX-License-Identifier: MPL-2.0

// Looks at the tracker's dashboard: `dashboard.mjs CHROMIUM URL DIRECTORY`. Leaves screenshots of a desktop and
// of a phone, light and dark, in the directory, and prints what the page shows as a line of JSON.

import { setTimeout as sleep } from "node:timers/promises";
import { chromium } from "playwright-core";

const [executablePath, url, directory] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
// Playwright's own way of waiting evaluates text in the page, which the page's policy forbids.
async function until(page, condition) {
  const end = Date.now() + 20_000;
  while (!(await page.evaluate(condition))) {
    if (Date.now() > end) throw new Error(`never came true: ${condition}`);
    await sleep(100);
  }
}

const errors = [];
const strangers = [];
try {
  const views = [
    ["desktop-light", 1280, 900, "light"],
    ["desktop-dark", 1280, 900, "dark"],
    ["phone-light", 390, 844, "light"],
    ["phone-dark", 390, 844, "dark"],
  ];
  const shown = {};
  for (const [name, width, height, colorScheme] of views) {
    const context = await browser.newContext({ viewport: { width, height }, colorScheme });
    const page = await context.newPage();
    page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
    page.on("pageerror", (error) => errors.push(String(error)));
    page.on("request", (request) => {
      if (new URL(request.url()).origin !== new URL(url).origin && !request.url().startsWith("data:")) {
        strangers.push(request.url());
      }
    });
    await page.goto(url);
    await until(page, () => document.body.dataset.ready === "true");
    // Every time range answers, and another swarm can be chosen.
    for (const range of ["week", "day", "hour"]) await page.click(`nav button[data-range=${range}]`);
    await page.click("#swarms tbody tr:nth-child(2) button");
    await until(page, () => document.querySelector("#swarms tr.chosen button")?.textContent ===
      document.querySelector("#mesh-name").textContent);
    await page.click("#swarms tbody tr:nth-child(1) button");
    await until(page, () => document.querySelectorAll("#mesh circle").length > 100);
    shown[name] = await page.evaluate(() => ({
      state: document.querySelector("#state").textContent,
      cards: [...document.querySelectorAll(".card b")].map((card) => card.textContent),
      dots: document.querySelectorAll("#mesh circle").length,
      lines: document.querySelectorAll("#mesh line").length,
      bubbles: document.querySelectorAll("#map circle").length,
      charts: document.querySelectorAll(".chart polyline").length,
      countries: [...document.querySelectorAll("#countries tbody tr")].map((row) => row.textContent),
      networks: [...document.querySelectorAll("#networks tbody tr")].map((row) => row.textContent),
      swarms: document.querySelectorAll("#swarms tbody tr").length,
      wider: document.documentElement.scrollWidth - document.documentElement.clientWidth,
      text: document.body.innerText,
    }));
    await page.screenshot({ path: `${directory}/dashboard-${name}.png`, fullPage: true });
    await context.close();
  }
  console.log(JSON.stringify({ shown, errors, strangers }));
} finally {
  await browser.close();
}
