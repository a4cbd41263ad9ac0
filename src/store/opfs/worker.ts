/**
 * The Worker that every page with a cache starts. It waits for its turn at the directory's lock, which it gets when the
 * tab that has it is closed, and then leads: opens the store and answers all tabs. What that takes is loaded before, since
 * by then the site may have moved on, or the network be away.
 *
 * @module
 */

import { loadChecksum } from "../../codec/checksum.ts";
import { loadZstd } from "../../codec/zstd.ts";
import { browserRuntime } from "../../runtime/browser.ts";
import { provideRuntime } from "../../runtime/current.ts";
import { messageOf } from "../../runtime/message.ts";
import { openOpfsFiles, opfsDirectory } from "../../runtime/opfs_files.ts";
import type { Milliseconds, Runtime } from "../../runtime/runtime.ts";
import { workerPort } from "../../runtime/worker_port.ts";
import { loadEngine } from "../../sqlite/engine.ts";
import { Leader } from "./leader.ts";
import type { FromWorker, StorePlace, ToWorker } from "./messages.ts";
import { lockName, newName } from "./names.ts";
import { hasSyncAccess, webLocks } from "./support.ts";

export { provideWasm, type WasmFile, type WasmSource } from "../../runtime/wasm.ts";

/** Whoever could not lead lets others try before he does so again. */
const PAUSE: Milliseconds = 1000;

const port = workerPort();
const machine: Runtime = browserRuntime();
provideRuntime(() => Promise.resolve(machine));

const end = new AbortController();
let leader: Leader | undefined;
/** Whatever it has open is closed once this is done. */
let leading: Promise<void> | undefined;

port.onMessage((data) => {
  const message = data as ToWorker;
  switch (message.type) {
    case "open":
      void serve(message.place);
      break;
    case "question":
      leader?.onOwnQuestion(message);
      break;
    case "close":
      end.abort();
      // Who waits for a turn has nothing open, and Chromium does not always say that a turn was called off.
      void Promise.resolve(leading).catch(() => {}).then(() => tell({ type: "closed" }));
  }
});

function tell(message: FromWorker, transfer?: Transferable[]): void {
  port.post(message, transfer);
}

/** Leads whenever it is its turn, until the page is done. Never rejects. */
async function serve(place: StorePlace): Promise<void> {
  try {
    await opfsDirectory(place.directory);
    if (!hasSyncAccess()) throw new TypeError("its private file system has no files for Workers");
    await Promise.all([loadEngine(), loadZstd(), loadChecksum()]);
  } catch (error) {
    return tell({ type: "unsupported", why: messageOf(error) });
  }
  tell({ type: "waiting" });
  while (!end.signal.aborted) {
    try {
      await webLocks().request(lockName(place.directory), { signal: end.signal }, () => leading = lead(place));
    } catch (error) {
      if (end.signal.aborted) return;
      tell({ type: "failed", why: messageOf(error) });
      await machine.clock.sleep(PAUSE, { signal: end.signal }).catch(() => {});
    }
  }
}

/** Leads until the page is done, or something breaks. */
async function lead(place: StorePlace): Promise<void> {
  if (end.signal.aborted) return;
  const { promise: over, resolve: abdicate } = Promise.withResolvers<void>();
  const files = await openOpfsFiles(await opfsDirectory(place.directory), { clock: machine.clock });
  try {
    const runtime = browserRuntime(files);
    leader = await Leader.lead({ runtime, place, name: newName(), tell, abdicate });
    end.signal.addEventListener("abort", () => abdicate());
    if (end.signal.aborted) abdicate();
    await over;
    await leader.close();
  } finally {
    leader = undefined;
    files.close();
  }
}
