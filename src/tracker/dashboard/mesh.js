// SPDX-License-Identifier: MPL-2.0

// A part of a swarm's mesh: viewers as dots, those of one provider together, links as lines.

import { element, shape } from "./charts.js";

/** Where each viewer stands: providers on a ring, the largest first, their viewers on a spiral. */
function positions({ viewers, networks }) {
  const members = networks.map(() => []);
  viewers.forEach(([network], viewer) => members[network].push(viewer));
  const order = members.map((_, network) => network).sort((a, b) => members[b].length - members[a].length);
  const radius = (count) => 7 * Math.sqrt(count) + 5;
  const whole = order.reduce((sum, network) => sum + 2 * radius(members[network].length) + 12, 0);
  const ring = order.length === 1 ? 0 : Math.max(whole / (2 * Math.PI), 60);
  const places = [];
  const centres = [];
  let angle = -Math.PI / 2;
  for (const network of order) {
    const step = ((2 * radius(members[network].length) + 12) / whole) * 2 * Math.PI;
    angle += step / 2;
    const centre = [ring * Math.cos(angle), ring * Math.sin(angle)];
    centres[network] = { centre, angle, count: members[network].length, radius: radius(members[network].length) };
    members[network].forEach((viewer, at) => {
      // Sunflower: equal areas for all.
      const [distance, turn] = [7 * Math.sqrt(at), at * 2.39996];
      places[viewer] = [centre[0] + distance * Math.cos(turn), centre[1] + distance * Math.sin(turn)];
    });
    angle += step / 2;
  }
  return { places, centres, ring };
}

/** Draws the mesh and its legend. */
export function draw(place, mesh) {
  if (mesh.viewers.length === 0) {
    place.replaceChildren(element("div", { class: "empty" }, "Nobody is here."));
    return;
  }
  const { places, centres, ring } = positions(mesh);
  const reach = ring + Math.max(...centres.map(({ radius }) => radius)) + 34;
  const picture = shape("svg", { viewBox: `${-reach} ${-reach} ${2 * reach} ${2 * reach}`, role: "img" });
  picture.append(shape("title", {}, `${mesh.viewers.length} viewers and ${mesh.links.length} links`));
  // One pixel, however large the picture is shown.
  const unit = (2 * reach) / Math.min(Math.max(place.clientWidth, 280), 544);
  // Near links are drawn last, on top.
  for (const [a, b, level] of [...mesh.links].sort((one, other) => other[2] - one[2])) {
    const [[x1, y1], [x2, y2]] = [places[a], places[b]];
    const attributes = { x1, y1, x2, y2, stroke: `var(--level-${level})`, "stroke-width": 0.8 * unit, opacity: 0.55 };
    picture.append(shape("line", attributes));
  }
  mesh.viewers.forEach(([network, links], viewer) => {
    const [cx, cy] = places[viewer];
    const dot = shape("circle", { cx, cy, r: (1.6 + links / 8) * unit, fill: "var(--text)" });
    dot.append(shape("title", {}, `${mesh.networks[network]}: ${links} links`));
    picture.append(dot);
  });
  // Names of the largest providers; the others tell theirs when pointed at.
  const named = centres.map((centre, network) => ({ ...centre, network })).sort((a, b) => b.count - a.count).slice(0, 8);
  for (const { centre, radius, network, count } of named) {
    if (count < 2 && named.length > 4) continue;
    const name = mesh.networks[network].split(", ").slice(0, 2).join(" ");
    const size = 11 * unit;
    const below = centre[1] > 0 || ring === 0;
    const y = centre[1] + (below ? radius + size * 1.3 : -radius - size * 0.6);
    const text = name.length > 22 ? `${name.slice(0, 21)}…` : name;
    const half = text.length * size * 0.28;
    const x = Math.min(Math.max(centre[0], -reach + half), reach - half);
    const label = shape("text", { x, y, "text-anchor": "middle" }, text);
    label.style.fontSize = `${size}px`;
    picture.append(label);
  }
  const used = [...new Set(mesh.links.map(([, , level]) => level))].sort();
  const keys = used.map((level) => {
    const key = element("span", { class: "key" }, mesh.levels[level]);
    key.style.setProperty("--colour", `var(--level-${level})`);
    return key;
  });
  place.replaceChildren(picture, element("div", { class: "keys" }, ...keys));
}
