/** Real servers for pages: a page asks over HTTP for one to be started, told the time, or stopped. */

import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import type { RunningServer } from "../../../src/compose/server.ts";
import type { Clock } from "../../../src/runtime/runtime.ts";
import { machine, storeServer } from "../../store/remote/fixture.ts";

/** Where pages ask. */
export interface ServerControl {
  readonly url: string;
  /** Stops it, and every server that nobody has stopped. */
  close(): Promise<void>;
}

interface Started {
  readonly server: RunningServer;
  now: number;
}

/** Starts servers, each with a store of its own, for pages of this origin: another than the servers' own. */
export async function startServerControl(origin: string): Promise<ServerControl> {
  const started = new Map<number, Started>();
  let last = 0;

  async function answer(what: string, { id, now }: { id: number; now: number }): Promise<unknown> {
    if (what === "start") {
      const state = { now: Date.UTC(2026, 0, 1) };
      const clock: Clock = { ...machine.clock, now: () => state.now };
      const server = await storeServer({ locking: "exclusive", corsOrigins: [origin] }, clock);
      started.set(++last, Object.assign(state, { server }));
      return { id: last, url: server.url };
    }
    const one = started.get(id)!;
    if (what === "set") return one.now = now;
    started.delete(id);
    await one.server.stop();
    return null;
  }

  const control = createServer(async (request, response) => {
    response.setHeader("Access-Control-Allow-Origin", origin);
    try {
      const result = await answer(request.url!.slice(1), JSON.parse(await text(request)));
      response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(result));
    } catch (error) {
      response.writeHead(500).end(String(error));
    }
  });
  control.listen(0, "127.0.0.1");
  await once(control, "listening");
  return {
    url: `http://127.0.0.1:${(control.address() as AddressInfo).port}`,
    async close() {
      const closed = once(control, "close");
      control.close();
      control.closeAllConnections();
      await closed;
      await Promise.all([...started.values()].map(({ server }) => server.stop()));
    },
  };
}
