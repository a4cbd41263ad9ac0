/**
 * A user's program, started by tests on each runtime: `write DIRECTORY`, `read DIRECTORY` or `hold DIRECTORY`, which
 * keeps the cache open until it is killed.
 */

import process from "node:process";
import { openCache } from "../../mod.ts";

/** As many questions as the tests ask. */
const QUESTIONS = 50;

function request(index: number): { model: string; prompt: string } {
  return { model: `model-${index % 2}`, prompt: `Frage ${index}: wie heißt „Füße“ auf 日本語?` };
}

function answer(index: number): object {
  const text = `足 ${index} `.repeat(index * 20 + 1);
  return { model: "m", choices: [{ index: 0, text, finish_reason: "stop" }], usage: { prompt_tokens: index } };
}

const [action, directory] = process.argv.slice(2);
const scope = { endpoint: "/v1/completions" };
const alone = action === "hold" ? { locking: "exclusive" } as const : {};
const cache = await openCache({ directory: directory!, lockTimeout: 0, ...alone });
try {
  switch (action) {
    case "write":
    case "hold":
      for (let i = 0; i < QUESTIONS; i++) await cache.put(request(i), answer(i), scope);
      break;
    case "read": {
      const entries = await cache.getMany(Array.from({ length: QUESTIONS }, (_, i) => request(i)), scope);
      const right = entries.filter((entry, i) => entry?.text() === JSON.stringify(answer(i)));
      console.log(`right ${right.length}`);
    }
  }
  console.log("done");
  if (action === "hold") await new Promise((resolve) => setTimeout(resolve, 60_000));
} catch (error) {
  console.log(`${(error as { code?: string }).code}: ${(error as Error).message}`);
}
await cache.close();
