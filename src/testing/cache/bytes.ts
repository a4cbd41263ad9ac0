/**
 * An answer from the cache is the answer: the very bytes that were stored, however odd.
 *
 * @module
 */

import { present, same, truth } from "../assertions.ts";
import { answerOf, ask, never } from "./provider.ts";
import type { CacheSuite } from "./suite.ts";

const encoder = new TextEncoder();

const ODD: Readonly<Record<string, string>> = {
  "spaces and line ends": ' {\r\n\t"choices" : [ { "message" : {"content":"hi"} , "finish_reason":"stop" } ] }\n',
  "notations of numbers": '{"choices":[{"text":"hi","logprobs":[1.0,1e0,-0,1E+2,0.10]}]}',
  "integers beyond 2^53": '{"id":12345678901234567890,"choices":[{"text":"hi"}]}',
  "escapes": '{"choices":[{"text":"\\u00e9\\/\\ud83c\\udf27\\n"}]}',
  "letters of four bytes": '{"choices":[{"text":"🌧 größer 雨"}]}',
  "names twice": '{"choices":[{"text":"a"}],"choices":[{"text":"b"}]}',
  "no names at all": '["an answer of a shape that nobody knows"]',
};

/** Registers the tests. */
export function testBytes({ describe, check }: CacheSuite): void {
  describe("the bytes of an answer", () => {
    for (const [what, text] of Object.entries(ODD)) {
      check(`come back as they were put: ${what}`, async ({ cache }) => {
        await cache.put(ask("cats"), encoder.encode(text));
        const entry = present(await cache.get(ask("cats")), "the answer");
        same(entry.text(), text);
        same(entry.bytes(), encoder.encode(text));
        same(entry.json(), JSON.parse(text));
      });

      check(`are passed on as they were bought, and come again like that: ${what}`, async ({ cache }) => {
        const bought = await cache.wrapEntry(ask("cats"), () => Promise.resolve(encoder.encode(text)));
        same(bought.text(), text);
        same((await cache.wrapEntry(ask("cats"), never)).text(), text);
      });
    }

    check("may be many", async ({ cache }) => {
      const long = answerOf(["größer 🌧 ".repeat(100_000)]);
      await cache.put(ask("cats"), long);
      same(present(await cache.get(ask("cats")), "the answer").text() === JSON.stringify(long), true, "every letter");
    });

    check("are the caller's to change, and so is what they mean", async ({ cache }) => {
      await cache.put(ask("cats"), answerOf(["mine"]));
      const entry = present(await cache.get(ask("cats")), "the answer");
      (entry.json() as { choices: unknown[] }).choices.length = 0;
      entry.bytes().fill(0);
      const value = await cache.wrap<{ choices: unknown[] }>(ask("cats"), never);
      value.choices.length = 0;
      same(await cache.wrap(ask("cats"), never), answerOf(["mine"]));
    });

    check("of the one who bought are the very value that the provider gave", async ({ cache }) => {
      const given = answerOf(["mine"]);
      const got = await cache.wrap(ask("cats"), () => Promise.resolve(given));
      truth(got === given, "the buyer gets the value that he bought");
    });
  });
}
