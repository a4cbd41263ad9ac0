/**
 * A Worker's end of what {@link ./protocol.ts} says: it fetches what the page wants, and borrows what the page has.
 *
 * @module
 */

import type { Lender } from "../../runtime/lent_files.ts";
import { messageOf } from "../../runtime/message.ts";
import type { Milliseconds, WorkerPort } from "../../runtime/runtime.ts";
import { FileError } from "../../runtime/runtime.ts";
import { PullError } from "../hub/pull_error.ts";
import { fetchFile, type FetchingRuntime } from "./fetch_file.ts";
import type { FetchJob, FromWorker, ToWorker } from "./protocol.ts";

/** What a page is told no more often than this. */
const REPORT_EVERY: Milliseconds = 50;

/** Does what the page asks of the Worker. To be called at once: a message that comes before anybody listens is lost. */
export function serveFetches(port: WorkerPort, runtime: FetchingRuntime): void {
  const underWay = new Map<number, AbortController>();
  port.onMessage((message) => {
    const received = message as ToWorker;
    if (received.type === "fetch") void serve(received.id, received.job);
    if (received.type === "stop") underWay.get(received.id)?.abort();
  });

  async function serve(id: number, job: FetchJob): Promise<void> {
    const stop = new AbortController();
    underWay.set(id, stop);
    const post = (message: FromWorker): void => port.post(message);
    let latest: FromWorker | undefined;
    let isResting = false;
    const tell = (): void => {
      if (isResting || latest === undefined || !underWay.has(id)) return;
      isResting = true;
      post(latest);
      latest = undefined;
      void runtime.clock.sleep(REPORT_EVERY).then(() => {
        isResting = false;
        tell();
      });
    };
    const onBytes = (received: number, size: number | undefined): void => {
      latest = { type: "came", id, received, size };
      tell();
    };
    const onFailure = (message: string): void => post({ type: "not yet", id, message });
    try {
      post({ type: "fetched", id, file: await fetchFile(runtime, job, { signal: stop.signal, onBytes, onFailure }) });
    } catch (error) {
      if (stop.signal.aborted) return;
      const code = error instanceof PullError ? error.code : "unreachable";
      post({ type: "failed", id, code, message: messageOf(error) });
    } finally {
      underWay.delete(id);
    }
  }
}

/** The page, as a lender. */
export function pageLender(port: WorkerPort): Lender {
  const waiting = new Map<number, PromiseWithResolvers<readonly Blob[]>>();
  let last = 0;
  port.onMessage((message) => {
    const received = message as ToWorker;
    if (received.type !== "lent" && received.type !== "not lent") return;
    const borrower = waiting.get(received.id);
    waiting.delete(received.id);
    if (received.type === "lent") borrower?.resolve(received.blobs);
    else borrower?.reject(new FileError(received.message, "EIO"));
  });
  return (paths) => {
    const id = ++last;
    const borrower = Promise.withResolvers<readonly Blob[]>();
    waiting.set(id, borrower);
    port.post({ type: "borrow", id, paths } satisfies FromWorker);
    return borrower.promise;
  };
}
