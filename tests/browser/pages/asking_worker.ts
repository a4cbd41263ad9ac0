/// <reference lib="dom" />
/** A Worker of a page's own, which opens the cache that the page has open, too. */

import { openCache } from "../../../src/compose/browser.ts";

self.onmessage = async ({ data: [directory, text] }) => {
  const cache = await openCache({ directory });
  const request = { model: "model", messages: [{ role: "user", content: text }] };
  const answers: string[] = [];
  for (const by of ["worker", "worker again"]) {
    const { choices } = await cache.wrap(request, () =>
      Promise.resolve({
        model: "model",
        choices: [{ index: 0, message: { role: "assistant", content: by }, finish_reason: "stop" }],
      }));
    answers.push(choices[0]!.message.content);
  }
  await cache.close();
  self.postMessage(answers);
};
