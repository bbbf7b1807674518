// SPDX-License-Identifier: MPL-2.0

// A crowd of viewers without media: `crowd.mjs URL VIEWERS NETWORKS...`, a network as 10.1 and what its viewers
// have of the crowd, as in 10.1=40. Viewers announce themselves as often as the tracker says (and at first as
// often as they need), answer every offer, and tell of bytes. Ends on SIGINT.

import WebSocket from "ws";

const [url, count, ...shares] = process.argv.slice(2);
const networks = shares.flatMap((share) => {
  const [network, weight] = share.split("=");
  return Array(Number(weight)).fill(network);
});
const sdp = "v=0\r\n";

function viewer(number) {
  const network = networks[number % networks.length];
  const address = `${network}.${(number >> 8) & 255}.${number & 255}`;
  // Most in one swarm, the others in some smaller ones.
  const swarm = number % 5 === 0 ? 1 + ((number / 5) % 6) : 0;
  const hash = `swarm-${String(swarm).padStart(14, "0")}`;
  const id = `-PM0203-${String(number).padStart(12, "0")}`;
  const socket = new WebSocket(url, { headers: { "X-Forwarded-For": address } });
  const traffic = { peers: 0, http: 0, uploaded: 0 };
  let round = 0;
  const announce = (event) => {
    round += 1;
    const offers = [1, 2, 3, 4, 5].map((offer) => ({
      offer: { type: "offer", sdp },
      offer_id: `${String(number).padStart(10, "0")}${String(round).padStart(8, "0")}${offer}o`,
    }));
    const message = { numwant: 5, uploaded: 0, downloaded: 0, action: "announce", info_hash: hash, peer_id: id, offers };
    socket.send(JSON.stringify({ ...message, ...(event && { event }), traffic }));
  };
  socket.on("open", () => announce("started"));
  socket.on("message", (text) => {
    const message = JSON.parse(text);
    if (message.offer) {
      const { info_hash, peer_id: to_peer_id, offer_id } = message;
      const answer = { type: "answer", sdp };
      socket.send(JSON.stringify({ action: "announce", info_hash, peer_id: id, to_peer_id, offer_id, answer }));
    } else if (message.interval) {
      const wait = round < 6 ? 1000 + (number % 500) : message.interval * 1000;
      setTimeout(() => {
        if (socket.readyState !== WebSocket.OPEN) return;
        traffic.peers += 900_000 + 1000 * (number % 100);
        traffic.http += swarm === 0 ? 40_000 : 300_000;
        traffic.uploaded += 880_000;
        announce();
      }, wait);
    } else if (message["failure reason"]) {
      console.log(message["failure reason"]);
    }
  });
  socket.on("error", (error) => console.log(`viewer ${number}: ${error.message}`));
}

for (let number = 0; number < Number(count); number += 1) viewer(number);
process.once("SIGINT", () => process.exit(0));
