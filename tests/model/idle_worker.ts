/** A Worker that answers pings and does nothing. */

import type { FromWorker, ToWorker } from "../../src/model/worker/protocol.ts";
import { workerPort } from "../../src/runtime/worker_port.ts";

const port = workerPort();
port.onMessage((message) => {
  if ((message as ToWorker).type !== "ping") return;
  const pong: FromWorker = { type: "pong", run: undefined, call: 0, memory: { wasm: 0, gpu: 0 }, adapters: [] };
  port.post(pong);
});
