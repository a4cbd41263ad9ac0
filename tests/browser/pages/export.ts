/// <reference lib="dom" />
/** A page with a cache whose database is taken out and put in. */

import { exportDatabase, importDatabase, openCache, type ResponseCache } from "../../../src/compose/browser.ts";
import { fromBase64, toBase64 } from "../../../src/runtime/base64.ts";
import { answerOf, requestOf } from "../support/exported_answers.ts";

let cache: ResponseCache;

/** Opens a cache in a directory. */
export async function open(directory: string): Promise<void> {
  cache = await openCache({ directory, withoutFiles: "throw" });
}

/** Closes it. */
export async function close(): Promise<void> {
  await cache.close();
}

/** Asks for some answers; how many of them had to be bought. */
export async function ask(from: number, to: number): Promise<number> {
  let bought = 0;
  for (let number = from; number < to; number++) {
    const answer = await cache.wrap(requestOf(number), () => {
      bought++;
      return Promise.resolve(answerOf(number));
    });
    if (JSON.stringify(answer) !== JSON.stringify(answerOf(number))) throw new Error(`Another answer: ${number}`);
  }
  return bought;
}

/** The database, in base64, and the media type it comes with. */
export async function take(model: string): Promise<{ base64: string; type: string }> {
  const blob = await exportDatabase(cache, model);
  return { base64: toBase64(new Uint8Array(await blob.arrayBuffer())), type: blob.type };
}

/** Puts one in; the model whose it is. */
export async function put(base64: string, replace = false): Promise<string> {
  return await importDatabase(cache, new Blob([fromBase64(base64)]), { replace });
}
