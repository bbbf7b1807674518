// SPDX-License-Identifier: MPL-2.0

// A map of dots. The land is a raster of Natural Earth's, which is in the public domain: a row for
// every 3 degrees from 78 north, a hexadecimal digit for every 12 degrees from 180 west.

import { element, shape, short } from "./charts.js";

const STEP = 3;
const NORTH = 78;
const LAND = `
0000192fc7fff80000002003800000
000018bec07ff800000201fff41000
03c003cbf83fe0000c0037ffffff80
7fffffffffffffff80300800000000
03ffffffbc1c0600effffffffffffe
07fffff8300c0003dfffffffffff5c
0083fff83a000022cfffffffffe040
0000fffe3f0000209fffffffff80c0
00007fffbf80005ffffffffffff080
00001ffffc00001ffffffffffff000
00001ffffc00001ffd7bffffffd000
00001ffff800005df877ffffff9000
00001fffe000007073fbfffff60000
00001fffe000007097fbfffffa2000
00000fffc000003e00fffffff0c000
000007ff8000007f98fffffff90000
000001f0800000fffef7fffff80000
000000f0000001fffff8fffff00000
00000060400001ffff7f1fdfc00000
00000072080001ffff3e0f1e800000
0000001e000003ffffbc0e1f080000
00000003000003fffff00607000000
000000011d0001fffff80601000000
000000003f0000fffff80000040000
000000003fe00043fff00008300000
000000003fe00001ffe00006e00000
000000007ff80001ffc00002688000
000000007ffe0000ff800002007000
000000007fff0000ff800000c03800
000000003fff0000ff800000000000
000000001ffe0000ffc80000019000
000000000ffe0000ff98000007d800
0000000007fe0000ff1000000ff800
0000000007fc00007f3000003ffc00
000000000ff000007e0000003ffe00
000000000ff000007e0000003ffe00
000000000fe000003c0000001ffe00
000000000fc0000020000000103c00
000000001f80000000000000001c02
000000001e00000000000000000002
000000000c00000000000000000004
000000001c00000000000000000008
000000001800000000000000000000
000000001800000000000000000000
000000000000000000000000000000
`
  .trim()
  .split("\n");

// The middle of each country's largest part, from the same source: latitude, longitude.
const CENTRES = new Map(
  `
AD43,2 AE24,54 AF34,66 AG17,-62 AI18,-63 AL41,20 AM40,45 AO-12,18 AQ-79,-48 AR-35,-65 AS-14,-171 AT48,14
AU-26,134 AW13,-70 AX60,20 AZ40,48 BA44,18 BB13,-60 BD24,90 BE51,5 BF12,-2 BG43,25 BH26,51 BI-3,30 BJ10,2
BL18,-63 BM32,-65 BN4,115 BO-17,-65 BR-11,-53 BS25,-78 BT27,90 BW-22,24 BY54,28 BZ17,-89 CA58,-102 CD-3,24
CF7,20 CG-1,15 CH47,8 CI8,-6 CK-21,-160 CL-36,-71 CM6,13 CN37,104 CO4,-73 CR10,-84 CU22,-79 CV15,-24
CW12,-69 CY35,33 CZ50,15 DE51,10 DJ12,43 DK56,9 DM15,-61 DO19,-71 DZ28,3 EC-1,-78 EE59,26 EG26,30 EH24,-12
ER15,39 ES40,-4 ET9,40 FI65,26 FJ-17,-29 FK-52,-59 FM7,158 FO62,-7 FR47,2 GA-1,12 GB54,-3 GD12,-62 GE42,44
GG49,-3 GH8,-1 GL75,-41 GM13,-15 GN10,-11 GQ2,10 GR39,23 GS-54,-37 GT16,-90 GU13,145 GW12,-15 GY5,-59
HK22,114 HM-53,74 HN15,-87 HR45,16 HT19,-73 HU47,19 ID0,114 IE53,-8 IL31,35 IM54,-5 IN23,80 IO-7,72 IQ33,44
IR33,54 IS65,-19 IT44,12 JE49,-2 JM18,-77 JO31,37 JP37,138 KE1,38 KG41,75 KH13,105 KI2,-157 KM-12,43
KN17,-63 KP40,127 KR36,128 KW29,48 KY19,-81 KZ48,67 LA19,104 LB34,36 LC14,-61 LI47,10 LK8,81 LR6,-9 LS-30,28
LT55,24 LU50,6 LV57,25 LY27,18 MA30,-8 MC44,7 MD47,28 ME43,19 MF18,-63 MG-19,47 MH7,171 MK42,22 ML17,-4
MM21,96 MN47,103 MO22,114 MP15,146 MR20,-10 MS17,-62 MT36,14 MU-20,58 MV4,74 MW-13,34 MX24,-103 MY4,115
MZ-17,36 NA-22,17 NC-21,165 NE17,9 NF-29,168 NG10,8 NI13,-85 NL52,6 NO64,14 NP28,84 NR-1,167 NU-19,-170
NZ-44,171 OM21,56 PA9,-80 PE-9,-74 PF-18,-149 PG-7,144 PH16,121 PK30,69 PL52,19 PM47,-56 PN-24,-128 PR18,-66
PS32,35 PT40,-8 PW8,135 PY-23,-58 QA25,51 RO46,25 RS44,21 RU56,193 RW-2,30 SA24,45 SB-10,160 SC-5,55 SD16,30
SE63,17 SG1,104 SH-16,-6 SI46,15 SK49,19 SL9,-12 SM44,12 SN14,-14 SO5,46 SR4,-56 SS7,30 ST0,7 SV14,-89
SX18,-63 SY35,39 SZ-27,31 TC22,-72 TD15,19 TF-49,69 TG9,1 TH15,101 TJ39,71 TL-9,126 TM39,59 TN34,10
TO-21,-175 TR39,35 TT10,-61 TW24,121 TZ-6,35 UA49,31 UG1,32 US40,-99 UY-33,-56 UZ42,63 VA42,12 VC13,-61
VE7,-66 VG18,-65 VI18,-65 VN17,106 VU-15,167 WF-14,-178 WS-14,-172 YE16,48 ZA-29,25 ZM-13,28 ZW-19,30
`
    .trim()
    .split(/\s+/)
    .map((entry) => [entry.slice(0, 2), entry.slice(2).split(",").map(Number)]),
);

const x = (longitude) => longitude + 180;
// Higher latitudes are drawn a little taller, as maps that people know do.
const y = (latitude) => 100 - latitude * (1 + Math.abs(latitude) / 300);

/** Draws countries as [{ name, viewers, links, inside }]; the name is the code. */
export function map(place, places) {
  const [top, bottom] = [y(NORTH), y(NORTH - STEP * LAND.length)];
  const picture = shape("svg", { viewBox: `0 ${top} 360 ${bottom - top}`, role: "img" });
  let dots = "";
  LAND.forEach((row, down) => {
    const cy = y(NORTH - STEP * (down + 0.5));
    [...row].forEach((digit, across) => {
      for (let bit = 0; bit < 4; bit += 1) {
        if ((parseInt(digit, 16) >> (3 - bit)) & 1) dots += `M${STEP * (4 * across + bit + 0.5)} ${cy.toFixed(1)}h0`;
      }
    });
  });
  const land = { d: dots, stroke: "var(--land)", "stroke-width": 1.9, "stroke-linecap": "round" };
  picture.append(shape("path", land));
  const known = places.filter(({ name }) => CENTRES.has(name));
  const most = Math.max(1, ...known.map(({ viewers }) => viewers));
  for (const { name, viewers, links, inside } of known) {
    const at = CENTRES.get(name);
    const [cx, cy, r] = [x(at[1]), y(at[0]), 2 + 9 * Math.sqrt(viewers / most)];
    const bubble = shape("circle", { cx, cy, r, fill: "var(--peers)", "fill-opacity": 0.45, stroke: "var(--peers)" });
    const share = links > 0 ? `, ${((100 * inside) / links).toFixed(0)} % of links inside` : "";
    bubble.append(shape("title", {}, `${name}: ${short(viewers)} viewers${share}`));
    picture.append(bubble);
    if (r > 5) {
      const label = shape("text", { x: cx, y: cy + 2, "text-anchor": "middle" }, name);
      label.style.fontSize = "6px";
      label.style.fill = "var(--text)";
      picture.append(label);
    }
  }
  const empty = element("p", { class: "quiet" }, "Without geo data that tells countries, nobody is on the map.");
  place.replaceChildren(picture, ...(known.length > 0 ? [] : [empty]));
}
