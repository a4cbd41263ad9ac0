/**
 * One Worker for hashing, started when a file has to be hashed and ended when none is left, so that a program that has
 * hashed its models keeps no thread for it.
 *
 * @module
 */

import type { DigestReply } from "./digest_worker.ts";
import type { FileDigest, WorkerHandle } from "./runtime.ts";
import { siblingModule } from "./sibling.ts";

interface Waiting {
  readonly path: string;
  readonly resolve: (digest: FileDigest) => void;
  readonly reject: (reason: Error) => void;
}

/** Makes `digestFile` from a runtime's `spawnWorker`. */
export function fileDigester(spawn: (url: URL, name: string) => WorkerHandle): (path: string) => Promise<FileDigest> {
  const waiting: Waiting[] = [];
  let worker: WorkerHandle | undefined;

  const end = (): void => {
    worker?.terminate();
    worker = undefined;
  };
  const start = (): WorkerHandle => {
    const started = spawn(siblingModule("digest_worker", import.meta.url), "digest");
    started.onMessage((message) => {
      const reply = message as DigestReply;
      const { path, resolve, reject } = waiting.shift()!;
      if (waiting.length === 0) end();
      if ("error" in reply) reject(new Error(`Cannot hash ${path}: ${reply.error}`));
      else resolve(reply);
    });
    started.onFailure((reason) => {
      end();
      for (const { path, reject } of waiting.splice(0)) {
        reject(new Error(`Cannot hash ${path}: ${reason.message}`, { cause: reason }));
      }
    });
    return started;
  };

  return (path) =>
    new Promise((resolve, reject) => {
      // Started before anybody waits: when it cannot be, nobody may be left in the queue, or all answers go one too far.
      worker ??= start();
      waiting.push({ path, resolve, reject });
      worker.post(path);
    });
}
