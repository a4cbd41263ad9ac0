/// <reference lib="dom" />
/** The Worker of a store, which stands still when it is told to, as one does whose tab is stopped or has much to do. */

import "../../../src/store/opfs/worker.ts";

const channel = new BroadcastChannel(`freeze ${self.name}`);
channel.onmessage = ({ data: duration }) => {
  channel.postMessage("frozen");
  const until = performance.now() + Number(duration);
  while (performance.now() < until);
};
