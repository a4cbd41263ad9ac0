/** scoreMany: many questions, one answer after the other. */

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { Backend, ScoreQuestion } from "../../src/model/backend.ts";
import { loadOnnxBackend } from "../../src/model/onnx_backend.ts";
import { type FromWorker, WINDOW } from "../../src/model/worker/protocol.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import type { Runtime } from "../../src/runtime/runtime.ts";
import { copyModelWithOtherWeights, referenceCases, resolveBase } from "../support/models.ts";
import type { ModelError } from "../../src/model/error.ts";
import { randomLlama, writeLlama } from "../support/tiny_llama.ts";
import { temporaryFolder } from "../support/temporary.ts";

const machine = await loadRuntime();
let backend: Backend;
/** How many values the Worker has sent in answer to questions. */
let sent = 0;

before(async () => {
  const runtime: Runtime = {
    ...machine,
    spawnWorker(url, name) {
      const worker = machine.spawnWorker(url, name);
      const onMessage: typeof worker.onMessage = (handler) =>
        worker.onMessage((message) => {
          if ((message as FromWorker).type === "value") sent++;
          handler(message);
        });
      return { ...worker, onMessage };
    },
  };
  backend = await loadOnnxBackend(runtime, await resolveBase());
});
after(() => backend.close());

const QUESTIONS: readonly ScoreQuestion[] = Array.from({ length: 10_000 }, (_, number) => {
  return { kind: "nextToken", prompt: { text: `Chapter ${number}` }, options: { topK: 1 } };
});

/** Waits until the Worker has done what it had to do when asked. */
async function settled(): Promise<number> {
  for (let other = 0; other < 2 * WINDOW; other++) await backend.baseView().nextToken({ text: "God" }, { topK: 1 });
  return sent - 2 * WINDOW;
}

describe("scoreMany", () => {
  it("answers each question as if it had been asked alone, to the bit, in order", async () => {
    const view = backend.baseView();
    const questions: ScoreQuestion[] = (await referenceCases()).flatMap(({ prompt, completion }) => [
      { kind: "logprobs", prompt: { text: prompt }, completion },
      { kind: "rollingLogprobs", text: prompt + completion },
      { kind: "nextToken", prompt: { text: prompt }, options: { topK: 5 } },
    ]);
    const alone: unknown[] = [];
    for (const question of questions) {
      switch (question.kind) {
        case "logprobs":
          alone.push(await view.logprobs(question.prompt, question.completion));
          break;
        case "rollingLogprobs":
          alone.push(await view.rollingLogprobs(question.text));
          break;
        case "nextToken":
          alone.push(await view.nextToken(question.prompt, question.options));
      }
    }
    assert.deepEqual(await Array.fromAsync(view.scoreMany(questions)), alone);
  });

  it("gives answers while it works, and ends where its reader does", async () => {
    sent = 0;
    let read = 0;
    for await (const answer of backend.baseView().scoreMany(QUESTIONS)) {
      assert.ok("tailLogprob" in answer);
      if (++read === 20) break;
    }
    assert.ok(await settled() <= 20 + 2 * WINDOW, `${sent} answers`);
  });

  it("goes no further than its window ahead of its reader", async () => {
    sent = 0;
    const answers = backend.baseView().scoreMany(QUESTIONS)[Symbol.asyncIterator]();
    await answers.next();
    assert.ok(await settled() <= 1 + WINDOW, `${sent} answers`);
    await answers.return!();
  });

  it("rejects with the signal's reason when it is aborted, and the Worker goes on with others", async () => {
    const controller = new AbortController();
    const answers = backend.baseView().scoreMany(QUESTIONS, controller.signal)[Symbol.asyncIterator]();
    await answers.next();
    controller.abort(new Error("client went away"));
    await assert.rejects(answers.next(), /client went away/);
    sent = 0;
    assert.ok(await settled() <= WINDOW, `${sent} answers`);
  });

  it("gives the answers before the question that cannot be followed", async () => {
    const empty: ScoreQuestion = { kind: "rollingLogprobs", text: "" };
    const answers = backend.baseView().scoreMany([QUESTIONS[0]!, empty])[Symbol.asyncIterator]();
    assert.equal((await answers.next()).done, false);
    await assert.rejects(answers.next(), { code: "invalid_request", parameter: "text" });
  });

  it("refuses a text with a token that the model can never say", async () => {
    const question = [{ text: "God" }, " the"] as const;
    const { ids: [id] } = await backend.baseView().logprobs(...question);
    const messages: string[] = [];
    for (const never of [-Infinity, Infinity]) {
      const llama = randomLlama();
      // One infinite weight makes that token's logit infinite; on which side, the hidden state says.
      const { columns, values } = llama.matrices.get("lm_head")!;
      values[columns + id!] = never;
      const base = await writeLlama(await temporaryFolder(), llama, { layout: "optimum" });
      const other = await loadOnnxBackend(machine, base).catch((error: ModelError) => {
        messages.push(error.message);
      });
      if (other === undefined) continue;
      try {
        await assert.rejects(other.baseView().logprobs(...question), (error: ModelError) => {
          assert.equal(error.code, "invalid_request");
          messages.push(error.message);
          return true;
        });
      } finally {
        await other.close();
      }
    }
    assert.ok(messages.some((message) => /can never say: \d+/.test(message)), String(messages));
    assert.ok(messages.some((message) => /logits are not numbers/.test(message)), String(messages));
  });

  it("is not offered by a model whose weights are not numbers", async () => {
    const folder = await copyModelWithOtherWeights(await temporaryFolder(), "broken", () => NaN);
    await assert.rejects(loadOnnxBackend(machine, await resolveBase(folder)), {
      code: "model_load_failed",
      message: /model\.onnx: its logits are not numbers: its weights are broken/,
    });
  });
});
