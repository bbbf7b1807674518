// SPDX-License-Identifier: MPL-2.0

// Elements, numbers and line charts. Nothing here is ever read as HTML.

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element with attributes and children; strings become text. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** The same for SVG. */
export function shape(name, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** 1234567 → "1.2 M". */
export function short(number) {
  const steps = ["", " k", " M", " G", " T", " P"];
  let at = 0;
  while (Math.abs(number) >= 999.5 && at < steps.length - 1) {
    number /= 1000;
    at += 1;
  }
  const digits = at > 0 && number < 99.5 ? 1 : 0;
  return number.toFixed(digits) + steps[at];
}

export const bytes = (number) => (number < 999.5 ? `${short(number)} B` : `${short(number)}B`);
export const percent = (part, whole) => (whole > 0 ? `${((100 * part) / whole).toFixed(1)} %` : "–");

function clock(seconds, range, span) {
  const options = range === "week" ? { weekday: "short", hour: "2-digit" } : { hour: "2-digit", minute: "2-digit" };
  const precise = span < 600 ? { second: "2-digit" } : {};
  return new Date(seconds * 1000).toLocaleString([], { ...options, ...precise, hour12: false });
}

/** A round number at or above this one. */
function ceiling(number) {
  if (number <= 0) return 1;
  const magnitude = 10 ** Math.floor(Math.log10(number));
  return [1, 2, 2.5, 5, 10].map((step) => step * magnitude).find((step) => step >= number);
}

/**
 * Areas on top of each other over time: `times` in seconds, `series` as [{ values, colour }], all of one
 * length. `label` writes a value.
 */
export function areas(place, times, series, label, range) {
  if (times.length < 2) {
    place.replaceChildren(element("div", { class: "empty" }, "The first points come within seconds."));
    return;
  }
  const width = Math.max(place.clientWidth, 280);
  const [height, left, bottom, top] = [176, 64, 20, 6];
  const total = times.map((_, at) => series.reduce((sum, { values }) => sum + values[at], 0));
  const most = ceiling(Math.max(...total));
  const [first, last] = [times[0], times[times.length - 1]];
  const x = (time) => left + ((time - first) / (last - first || 1)) * (width - left - 4);
  const y = (value) => top + (1 - value / most) * (height - top - bottom);
  const chart = shape("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img" });
  for (const part of [0, 0.5, 1]) {
    const at = y(part * most);
    chart.append(
      shape("line", { x1: left, x2: width, y1: at, y2: at, stroke: "var(--line)" }),
      shape("text", { x: left - 6, y: at + 4, "text-anchor": "end" }, label(part * most)),
    );
  }
  const marks = width < 420 ? 3 : 5;
  for (let mark = 0; mark < marks; mark += 1) {
    const time = first + ((last - first) * mark) / (marks - 1);
    const anchor = mark === 0 ? "start" : mark === marks - 1 ? "end" : "middle";
    chart.append(shape("text", { x: x(time), y: height - 4, "text-anchor": anchor }, clock(time, range, last - first)));
  }
  let base = times.map(() => 0);
  for (const { values, colour } of series) {
    const upper = base.map((value, at) => value + values[at]);
    const line = (list) => list.map((value, at) => `${x(times[at]).toFixed(1)},${y(value).toFixed(1)}`);
    const area = [...line(upper), ...line(base).reverse()].join(" ");
    chart.append(
      shape("polygon", { points: area, fill: colour, opacity: 0.25 }),
      shape("polyline", { points: line(upper).join(" "), fill: "none", stroke: colour, "stroke-width": 2 }),
    );
    base = upper;
  }
  place.replaceChildren(chart);
}

/** A table: `columns` as [title, class], `rows` of cells. */
export function table(place, columns, rows, empty) {
  if (rows.length === 0) {
    place.replaceChildren(element("div", { class: "empty" }, empty));
    return;
  }
  const head = element("tr", {}, ...columns.map(([title, kind]) => element("th", { class: kind ?? "" }, title)));
  place.replaceChildren(element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows)));
}

/** A share as a bar with its number. */
export function bar(part, whole) {
  const share = whole > 0 ? (100 * part) / whole : 0;
  const line = element("i");
  line.style.setProperty("--part", `${share}%`);
  return element("div", { class: "bar" }, line, element("span", {}, whole > 0 ? `${share.toFixed(0)} %` : "–"));
}
