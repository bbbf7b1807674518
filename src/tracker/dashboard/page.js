// SPDX-License-Identifier: MPL-2.0

// Asks for the figures every few seconds while the page is seen, and shows them.

import { areas, bar, bytes, element, percent, short, table } from "./charts.js";
import { draw } from "./mesh.js";
import { map } from "./world.js";

const EVERY = 5000;

const find = (id) => document.getElementById(id);
let range = "hour";
let chosen = null;
let drawn = null;
let timer = null;

async function ask(path) {
  const reply = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(EVERY * 2) });
  if (!reply.ok) throw new Error(`${reply.status}`);
  return reply.json();
}

function state(text, good) {
  const pill = find("state");
  pill.textContent = text;
  pill.className = `pill ${good ? "good" : "bad"}`;
}

function card(title, value, note = "") {
  return element("div", { class: "card" }, element("span", { class: "quiet" }, title), element("b", {}, value),
    element("span", { class: "quiet" }, note));
}

function cards(figures) {
  const { traffic, history, kilometres } = figures;
  const all = traffic.peers + traffic.http;
  const recent = history.length > 1 ? [history[0], history[history.length - 1]] : null;
  const more = (name) => (recent ? Math.max(0, recent[1][name] - recent[0][name]) : 0);
  const now = more("peers") + more("http");
  find("cards").replaceChildren(
    card("Viewers", short(figures.viewers), `${short(figures.connections)} connections`),
    card("Swarms", short(figures.swarms)),
    card("Peer efficiency", percent(more("peers"), now), `${percent(traffic.peers, all)} since the start`),
    card("From peers", bytes(traffic.peers), `${bytes(more("peers"))} in this ${range}`),
    card("Over HTTP", bytes(traffic.http), `${bytes(more("http"))} in this ${range}`),
    card("Uploaded", bytes(traffic.uploaded), `${bytes(more("uploaded"))} in this ${range}`),
  );
  find("distance").textContent = kilometres === null ? "" : `${Math.round(kilometres)} km apart on average`;
  find("bytes-note").textContent =
    all > 0 ? "" : "No viewer has told of its bytes. Browsers with p2p-media-loader do not; this plugin does.";
}

function charts(history) {
  const times = history.map(({ time }) => time);
  const viewers = history.map((point) => point.viewers);
  areas(find("viewers-chart"), times, [{ values: viewers, colour: "var(--viewers)" }], short, range);
  // Bytes are counted since the start; a restart counts anew.
  const rates = (name) =>
    history.map((point, at) => {
      const before = history[at - 1];
      return before ? Math.max(0, point[name] - before[name]) / Math.max(1, point.time - before.time) : 0;
    });
  const series = [
    { values: rates("peers"), colour: "var(--peers)" },
    { values: rates("http"), colour: "var(--http)" },
  ];
  areas(find("bytes-chart"), times.slice(1), series.map((one) => ({ ...one, values: one.values.slice(1) })),
    (value) => `${bytes(value)}/s`, range);
}

function levels(list) {
  const all = list.reduce((sum, [, count]) => sum + count, 0);
  const stack = element("div", { class: "stack" });
  const keys = element("div", { class: "keys" });
  list.forEach(([name, count], level) => {
    const part = element("div", { title: `${name}: ${percent(count, all)}` });
    part.style.width = `${all > 0 ? (100 * count) / all : 0}%`;
    part.style.background = `var(--level-${level})`;
    stack.append(part);
    const key = element("span", { class: "key" }, `${name} ${percent(count, all)}`);
    key.style.setProperty("--colour", `var(--level-${level})`);
    keys.append(key);
  });
  find("levels").replaceChildren(stack, keys);
}

function kinds(place, title, rows, empty) {
  const cells = rows.map(({ name, note, viewers, links, inside }) =>
    element("tr", {},
      element("td", {}, name, ...(note ? [element("small", {}, note)] : [])),
      element("td", { class: "number" }, short(viewers)),
      element("td", { class: "share" }, bar(inside, links)),
    ));
  table(place, [[title], ["Viewers", "number"], ["Links inside", "share"]], cells, empty);
}

function swarms(top) {
  if (!top.some(({ name }) => name === chosen)) chosen = top[0]?.name ?? null;
  const rows = top.map(({ name, viewers, everywhere, links, traffic }) => {
    const here = viewers === everywhere ? short(viewers) : `${short(viewers)} of ${short(everywhere)}`;
    const button = element("button", {}, name);
    const row = element("tr", { class: name === chosen ? "choice chosen" : "choice" },
      element("td", {}, button),
      element("td", { class: "number" }, here),
      element("td", { class: "number" }, viewers > 0 ? ((2 * links) / viewers).toFixed(1) : "–"),
      element("td", { class: "share" }, bar(traffic.peers, traffic.peers + traffic.http)));
    row.addEventListener("click", () => {
      chosen = name;
      update();
    });
    return row;
  });
  const columns = [["Swarm"], ["Viewers", "number"], ["Links each", "number"], ["Peer efficiency", "share"]];
  table(find("swarms"), columns, rows, "Nobody is here.");
}

async function mesh() {
  find("mesh-name").textContent = chosen ?? "one swarm";
  if (chosen === null) {
    draw(find("mesh"), { viewers: [] });
    find("mesh-note").textContent = "";
    return;
  }
  // A picture that changes every few seconds cannot be looked at.
  if (drawn?.name === chosen && Date.now() - drawn.at < 30000) return;
  const name = chosen;
  const part = await ask(`dashboard/mesh.json?swarm=${encodeURIComponent(name)}`);
  if (name !== chosen) return;
  drawn = { name, at: Date.now() };
  draw(find("mesh"), part);
  find("mesh-note").textContent =
    `${part.viewers.length} of ${part.of} viewers on this node, and ${part.links.length} links between them`;
}

async function update() {
  clearTimeout(timer);
  try {
    const figures = await ask(`dashboard/figures.json?range=${range}`);
    if (figures.stopping) state("stopping", false);
    else if (figures.degraded) state("degraded: Redis is away", false);
    else state("ok", true);
    find("nodes").textContent = figures.nodes === null ? "" : `${figures.nodes + 1} nodes`;
    cards(figures);
    charts(figures.history);
    levels(figures.levels);
    map(find("map"), figures.countries);
    kinds(find("countries"), "Country", figures.countries, "Without geo data, no countries are known.");
    kinds(find("networks"), "Provider", figures.networks, "Nobody is here.");
    swarms(figures.top);
    await mesh();
    document.body.dataset.ready = "true";
  } catch (error) {
    state(`no answer (${error.message})`, false);
  }
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(update, EVERY);
}

for (const button of document.querySelectorAll("nav button")) {
  button.addEventListener("click", () => {
    range = button.dataset.range;
    for (const other of document.querySelectorAll("nav button")) {
      other.setAttribute("aria-pressed", String(other === button));
    }
    update();
  });
}
document.addEventListener("visibilitychange", () => document.hidden || update());
update();
