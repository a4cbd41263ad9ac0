/** Models behind OpenAI-compatible endpoints, against a real server with every habit that such servers have. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { openApiBackend } from "../../src/model/api/api_backend.ts";
import type { GenerateRequest, View } from "../../src/model/backend.ts";
import { baseAt, events, fails, HastyClock, refused, sha256, viewOf } from "../support/api_view.ts";
import { type Answer, type Asked, choice, type Endpoint, endpoint } from "../support/endpoint.ts";
import { gate } from "../support/gate.ts";

/** `The sun` in three tokens, and what is generated after it. */
const SUN = [["The", null], [" su", -2], ["n", -0.5]] as const;
const echo = (more: readonly (readonly [string, number])[] = []): Answer => ({
  json: { choices: [choice([...SUN, ...more])], usage: { prompt_tokens: 3 } },
});
const TEXT = { text: "The" };

const scored = (view: View): Promise<unknown> => view.logprobs(TEXT, " sun");

describe("scoring by an endpoint", () => {
  it("sends prompt and completion, has them echoed, and adds up the completion's tokens", async () => {
    await using server = await endpoint(() => echo());
    const { ids, logprobs, total } = await viewOf(server).logprobs(TEXT, " sun");
    assert.deepEqual([ids.length, logprobs, total], [2, [-2, -0.5], -2.5]);
    const { path, body } = server.asked[0]!;
    assert.equal(path, "/v1/completions");
    assert.deepEqual(body, { model: "m", prompt: "The sun", max_tokens: 0, temperature: 0, echo: true, logprobs: 1 });
  });

  it("gives every token after the first of a text", async () => {
    await using server = await endpoint(() => echo());
    const { ids, logprobs, total } = await viewOf(server).rollingLogprobs("The sun");
    assert.deepEqual([ids.length, logprobs, total], [3, [-2, -0.5], -2.5]);
  });

  it("asks for one token where a server refuses to generate none, cuts it off, and remembers that", async () => {
    await using server = await endpoint(({ body }) =>
      body.max_tokens === 0 ? refused("max_tokens must be at least 1, got 0") : echo([[" is", -0.1]])
    );
    const view = viewOf(server);
    for (let time = 0; time < 2; time++) assert.deepEqual((await view.logprobs(TEXT, " sun")).logprobs, [-2, -0.5]);
    assert.deepEqual(server.asked.map(({ body }) => body.max_tokens), [0, 1, 1]);
  });

  it("takes the ids that a server gives, in the ways of llama.cpp's likes and of vLLM, and else makes up stable ones", async () => {
    const own = choice(SUN);
    const answers = [
      { ...own, logprobs: { ...own.logprobs as object, token_ids: [7, 8, 9] } },
      { ...own, prompt_token_ids: [7, 8, 9], token_ids: [] },
      own,
      own,
    ];
    await using server = await endpoint((_, number) => ({ json: { choices: [answers[number]] } }));
    const view = viewOf(server);
    const ids: (readonly number[])[] = [];
    for (const _ of answers) ids.push((await view.logprobs(TEXT, " sun")).ids);
    assert.deepEqual(ids.slice(0, 2), [[8, 9], [8, 9]]);
    assert.deepEqual(ids[2], ids[3]);
    assert.ok(ids[2]!.every((id) => Number.isSafeInteger(id) && id >= 2 ** 52));
  });

  it("finds the border behind special tokens, and in parts of characters", async () => {
    const answers = [
      choice([["<s>", null], ["The", -3], [" su", -2], ["n", -0.5]], { text: "The sun" }),
      choice([["T", null], ["bytes:\\xc3", -3], ["bytes:\\xa9", -1], [" su", -2], ["n", -0.5]], { text: "Té sun" }),
      // A server that shows its tokenizer's own marks.
      choice([["The", null], ["▁su", -2], ["n", -0.5]], { text: "The sun" }),
    ];
    await using server = await endpoint((_, number) => ({ json: { choices: [answers[number]] } }));
    const view = viewOf(server);
    for (const prompt of ["The", "Té", "The"]) {
      assert.deepEqual((await view.logprobs({ text: prompt }, " sun")).logprobs, [-2, -0.5]);
    }
  });

  it("refuses a token that reaches over the border, and tokens that cannot be placed", async () => {
    const joined = choice([["Th", null], ["e s", -1], ["un", -1]]);
    await fails({ json: { choices: [joined] } }, scored, { code: "invalid_request", parameter: "completion" });
    const unplaced = choice([["The", null], ["su", -2], ["n", -0.5]], { text: "The sun" });
    await fails({ json: { choices: [unplaced] } }, scored, { code: "endpoint_failed", message: /make up the text/ });
  });

  it("refuses by name a server that ignores echo, or logprobs", async () => {
    const cases: readonly (readonly [object, RegExp])[] = [
      [choice([[" is", -1], [" up", -1]]), /ignored echo/],
      [{ ...choice([[" is", -1]]), text: "The sun" }, /ignored echo/],
      [{ ...choice(SUN), logprobs: null }, /ignored logprobs/],
      [choice([["The", 0], [" su", 0], ["n", 0]]), /ignored logprobs/],
      [choice([["The", null], [" su", null], ["n", -1]]), /log-probability of token 1/],
      [choice([["The", null], [" su", -9999], ["n", -1]]), /minus infinity/],
      [choice([["The", null], [" su", 3], ["n", -1]]), /is none: 3/],
      [choice([["The", null], [" su", "NaN" as unknown as number], ["n", -1]]), /is none: NaN/],
    ];
    for (const [one, message] of cases) {
      await fails({ json: { choices: [one] } }, scored, { name: "ModelError", code: "endpoint_failed", message });
      await fails({ json: { choices: [one] } }, (view) => view.rollingLogprobs("The sun"), { message });
    }
    await fails({ json: {} }, scored, { code: "endpoint_failed", message: /no choices/ });
    await fails({ json: [] }, scored, { code: "endpoint_failed", message: /no an answer|answer/ });
  });

  it("refuses what it cannot put before a completion, or score at all", async () => {
    await using server = await endpoint(() => echo());
    const view = viewOf(server);
    for (const prompt of [{ ids: [1] }, { messages: [{ role: "user", content: "The" }] }]) {
      await assert.rejects(view.logprobs(prompt, " sun"), { code: "invalid_request", parameter: "prompt" });
    }
    await assert.rejects(view.logprobs(TEXT, ""), { code: "invalid_request", parameter: "completion" });
    await assert.rejects(view.rollingLogprobs(""), { code: "invalid_request", parameter: "text" });
    await assert.rejects(view.nextToken(TEXT, { topK: 0 }), { code: "invalid_request", parameter: "topK" });
    assert.equal(server.asked.length, 0);
    await assert.rejects(view.logprobs({ text: "" }, "The sun"), { code: "invalid_request", parameter: "prompt" });
  });

  it("gives as many next tokens as the server names, and says what is left for the others", async () => {
    const top = { " a": Math.log(0.5), " b": Math.log(0.25), " c": -9999 };
    await using server = await endpoint(() => ({ json: { choices: [choice([[" a", Math.log(0.5), top]])] } }));
    const next = await viewOf(server).nextToken(TEXT, { topK: 50 });
    assert.deepEqual([next.logprobs, next.vocabularySize], [[Math.log(0.5), Math.log(0.25)], null]);
    assert.ok(Math.abs(next.tailLogprob! - Math.log(0.25)) < 1e-12);
    assert.equal(new Set(next.ids).size, 2);
    assert.deepEqual(server.asked[0]!.body, { model: "m", prompt: "The", max_tokens: 1, temperature: 0, logprobs: 50 });
  });

  it("asks for fewer alternatives where a server caps them, and remembers that", async () => {
    await using server = await endpoint(({ body }) =>
      body.logprobs > 5
        ? refused("logprobs must be at most 5")
        : { json: { choices: [choice([["a", -1, { a: -1 }]])] } }
    );
    const view = viewOf(server);
    for (let time = 0; time < 2; time++) assert.equal((await view.nextToken(TEXT, { topK: 256 })).ids.length, 1);
    assert.deepEqual(server.asked.map(({ body }) => body.logprobs), [256, 100, 20, 5, 5]);
  });

  it("keeps some mass for the rest where rounding leaves none, and refuses what is no distribution", async () => {
    const ask = (view: View): Promise<unknown> => view.nextToken(TEXT, { topK: 2 });
    await using server = await endpoint(() => ({ json: { choices: [choice([["a", 1e-9, { a: 1e-9 }]])] } }));
    assert.equal((await viewOf(server).nextToken(TEXT, { topK: 2 })).tailLogprob, Math.log(Number.EPSILON));
    const two = choice([["a", -0.1, { a: -0.1, b: -0.1 }]]);
    await fails({ json: { choices: [two] } }, ask, { code: "endpoint_failed", message: /sum to 1\.8/ });
    await fails({ json: { choices: [choice([])] } }, ask, { message: /generated no token/ });
    await fails({ json: { choices: [choice([["a", -1]])] } }, ask, { message: /names no alternatives/ });
  });

  it("reads vLLM's tokens that are named by their ids", async () => {
    const one = choice([["token_id:42", -1, { "token_id:42": -1, "token_id:7": -2 }]]);
    await using server = await endpoint(() => ({ json: { choices: [one] } }));
    assert.deepEqual((await viewOf(server).nextToken(TEXT, { topK: 2 })).ids, [42, 7]);
  });

  it("answers many in order, so many at a time, and ends all with the first that fails", async () => {
    const held = gate();
    let [running, most] = [0, 0];
    await using server = await endpoint(({ body }) => (response) => {
      most = Math.max(most, ++running);
      const answer = (): void => {
        running--;
        if (body.prompt === "The 3") response.writeHead(400).end("{}");
        else response.end(JSON.stringify({ choices: [choice([["The", null], [` ${body.prompt.slice(4)}`, -1]])] }));
      };
      void held.pass().then(answer);
    });
    const questions = [0, 1, 2, 3, 4, 5].map((n) => ({ kind: "rollingLogprobs", text: `The ${n}` } as const));
    const answers = viewOf(server, { concurrency: 2 }).scoreMany(questions)[Symbol.asyncIterator]();
    const first = answers.next();
    await held.reached;
    held.open();
    assert.deepEqual((await first).value.logprobs, [-1]);
    for (const _ of [1, 2]) assert.equal((await answers.next()).done, false);
    await assert.rejects(answers.next(), { code: "invalid_request" });
    assert.ok(most <= 2, `${most} at once`);
    assert.ok(server.asked.length <= 5, `${server.asked.length} asked`);
  });
});

describe("asking an endpoint", () => {
  it("waits and asks again after a broken connection, 429 and 5xx, for as long as the server asks to", async () => {
    const clock = new HastyClock();
    const inTwoSeconds = new Date(clock.now() + 2000).toUTCString();
    const answers: readonly Answer[] = [
      (response) => response.destroy(),
      { status: 429, headers: { "Retry-After": "7" }, json: {} },
      { status: 503, headers: { "Retry-After": inTwoSeconds }, json: {} },
      echo(),
    ];
    await using server = await endpoint((_, number) => answers[number]!);
    assert.equal((await viewOf(server, {}, clock).logprobs(TEXT, " sun")).total, -2.5);
    assert.deepEqual(clock.waits, [500, 7000, 2000]);
  });

  it("gives up in the end, and says what it met", async () => {
    await using server = await endpoint(() => ({ status: 500, json: { error: { message: "on fire" } } }));
    const expected = { code: "endpoint_failed", message: /was asked 2 times and answered 500: on fire/ };
    await assert.rejects(viewOf(server, { attempts: 2 }).logprobs(TEXT, " sun"), expected);
    await server[Symbol.asyncDispose]();
    await assert.rejects(viewOf(server, { attempts: 1 }).logprobs(TEXT, " sun"), { message: /cannot be reached/ });
  });

  it("does not ask again what was refused", async () => {
    const cases: readonly (readonly [Answer, object])[] = [
      [refused("no such field"), { code: "invalid_request", parameter: "completion", message: /no such field/ }],
      [refused("The maximum context length is 8 tokens; you asked for 9 and max_tokens 0"), {
        code: "prompt_too_long",
      }],
      [refused("too bad", 401), { code: "endpoint_failed", message: /refuses the key \(401\)/ }],
      [refused("no model m", 404), { code: "model_not_found", message: /no model m/ }],
      [{ status: 302, headers: { Location: "http://127.0.0.1:9/" }, json: {} }, { message: /leads elsewhere/ }],
      [(response) => response.end("<html>"), { code: "endpoint_failed", message: /no JSON: <html>/ }],
    ];
    for (const [answer, expected] of cases) {
      await using server = await endpoint(() => answer);
      await assert.rejects(viewOf(server).logprobs(TEXT, " sun"), expected);
      assert.equal(server.asked.length, 1);
    }
  });

  it("sends the key and never shows it", async () => {
    await using server = await endpoint((_, number) => number === 0 ? echo() : refused("go away", 403));
    const view = viewOf(server, { apiKey: "sk-secret" });
    await view.logprobs(TEXT, " sun");
    assert.equal(server.asked[0]!.headers.authorization, "Bearer sk-secret");
    const error = await view.logprobs(TEXT, " sun").then(() => assert.fail(), (error) => error);
    assert.doesNotMatch(`${error.stack} ${JSON.stringify(error)}`, /secret/);
  });

  it("ends with the caller's signal, and when the server is silent for too long", async () => {
    const held = gate();
    await using server = await endpoint(() => () => void held.pass());
    const abort = new AbortController();
    const aborted = viewOf(server).logprobs(TEXT, " sun", abort.signal);
    await held.reached;
    abort.abort(new Error("enough"));
    await assert.rejects(aborted, { message: "enough" });
    const clock = new HastyClock();
    const again = gate();
    await using silent = await endpoint(() => () => void again.pass());
    const late = viewOf(silent, { timeout: 3000 }, clock).logprobs(TEXT, " sun");
    await again.reached;
    clock.advance(3000);
    await assert.rejects(late, { code: "run_timeout", message: /3 s/ });
    await assert.rejects(viewOf(server).logprobs(TEXT, " sun", AbortSignal.abort(new Error("no"))), { message: "no" });
  });

  it("refuses an endpoint that is none", () => {
    const open = (url: string, more: object = {}) => () =>
      openApiBackend({ clock: new HastyClock(), sha256 }, baseAt(url), { url, ...more });
    for (const url of ["", "localhost", "file:///etc/passwd", "http://user:pw@host/v1", "http://host/v1?key=secret"]) {
      assert.throws(open(url), (error: Error) => error.name === "TypeError" && !/pw|secret/.test(error.message));
    }
    assert.throws(open("http://host", { apikey: "x" }), { name: "TypeError", message: /apikey/ });
    assert.throws(open("http://host", { apiKey: "a\nb" }), { name: "TypeError" });
    for (const more of [{ attempts: 0 }, { concurrency: 0.5 }, { timeout: 0 }]) {
      assert.throws(open("http://host", more), { name: "RangeError", message: new RegExp(Object.keys(more)[0]!) });
    }
  });
});

const REQUEST: GenerateRequest = {
  prompt: TEXT,
  maxTokens: 4,
  temperature: 0,
  seed: 1,
  stop: [],
  topLogprobs: undefined,
  echo: false,
};

describe("generating by an endpoint", () => {
  const textEvents = [
    { choices: [{ index: 0, text: " sun", finish_reason: null }] },
    { choices: [{ index: 0, text: " is", finish_reason: "length" }] },
    { choices: [], usage: { prompt_tokens: 1, completion_tokens: 2 } },
  ];

  it("streams text, and says at the end how many tokens there were", async () => {
    await using server = await endpoint(() => events(textEvents));
    const got = await Array.fromAsync(viewOf(server).generate({ ...REQUEST, stop: ["x"], topK: 3 }));
    assert.deepEqual(got.map(({ type, text }) => [type, text]), [["prompt", ""], ["token", " sun"], ["token", " is"], [
      "end",
      "",
    ]]);
    assert.deepEqual(got.at(-1), {
      type: "end",
      finishReason: "length",
      completionTokens: 2,
      text: "",
      promptTokens: 1,
    });
    const { body } = server.asked[0]!;
    assert.deepEqual([body.stream, body.max_tokens, body.stop, body.top_k, body.seed], [true, 4, ["x"], 3, 1]);
  });

  it("reports tokens and their alternatives, also those of the prompt", async () => {
    await using server = await endpoint(({ body }) =>
      body.echo
        ? { json: { choices: [choice([["The", null]])] } }
        : events([{ choices: [choice([[" su", -2, { " su": -2, " mo": -3 }], ["n", -1, { n: -1 }]])] }])
    );
    const got = await Array.fromAsync(viewOf(server).generate({ ...REQUEST, echo: true, topLogprobs: 1 }));
    assert.equal(got.map(({ text }) => text).join(""), "The sun");
    const tokens = got.flatMap((event) => event.type === "token" ? [event.token] : []);
    assert.deepEqual(tokens.map(({ text, logprob, top }) => [text, logprob, top.map(({ text }) => text)]), [
      [" su", -2, [" su"]],
      ["n", -1, ["n"]],
    ]);
  });

  it("speaks chat with conversations", async () => {
    const content = [{ token: "Hi", logprob: -0.5, bytes: [72, 105], top_logprobs: [{ token: "Hi", logprob: -0.5 }] }];
    await using server = await endpoint(() =>
      events([
        { choices: [{ delta: { role: "assistant" }, finish_reason: null }] },
        { choices: [{ delta: { content: "Hi" }, logprobs: { content }, finish_reason: null }] },
        { choices: [{ delta: {}, finish_reason: "stop" }] },
      ])
    );
    const messages = [{ role: "user", content: "Hello" }];
    const request = { ...REQUEST, prompt: { messages, template: { variables: { enable_thinking: false } } } };
    const got = await Array.fromAsync(viewOf(server).generate({ ...request, topLogprobs: 1 }));
    assert.equal(got.map(({ text }) => text).join(""), "Hi");
    const { path, body } = server.asked[0]!;
    assert.equal(path, "/v1/chat/completions");
    assert.deepEqual([body.messages, body.top_logprobs, body.chat_template_kwargs], [messages, 1, {
      enable_thinking: false,
    }]);
  });

  it("refuses a stream that breaks off, tells of an error, or ends without a reason", async () => {
    const all = (view: View): Promise<unknown> => Array.fromAsync(view.generate(REQUEST));
    const cut = { code: "endpoint_failed", message: /ended its stream in the middle/ };
    await fails(events(textEvents, ""), all, cut);
    await fails(events([textEvents[0], { error: { message: "out of memory" } }]), all, { message: /out of memory/ });
    await fails(events([textEvents[0]]), all, { message: /why its answer ended/ });
    const filtered = { choices: [{ text: "", finish_reason: "content_filter" }] };
    await fails(events([filtered]), all, { message: /filter/ });
    await fails(events(textEvents), (view) => Array.fromAsync(view.generate({ ...REQUEST, topLogprobs: 1 })), {
      message: /ignored logprobs/,
    });
    const broken: Answer = (response) => {
      response.writeHead(200);
      response.write(`data: ${JSON.stringify(textEvents[0])}\n\n`, () => response.destroy());
    };
    await fails(broken, all, { code: "endpoint_failed" });
  });

  it("generates nothing without asking, and refuses a text without a limit", async () => {
    await using server = await endpoint(() => events(textEvents));
    const got = await Array.fromAsync(viewOf(server).generate({ ...REQUEST, maxTokens: 0 }));
    assert.deepEqual(got.map(({ type }) => type), ["prompt", "end"]);
    const endless = viewOf(server).generate({ ...REQUEST, maxTokens: undefined });
    await assert.rejects(Array.fromAsync(endless), { code: "invalid_request", parameter: "maxTokens" });
    assert.equal(server.asked.length, 0);
  });

  it("closes the connection when its reader stops", async () => {
    const closed = Promise.withResolvers<void>();
    await using server = await endpoint(() => (response) => {
      response.on("close", () => closed.resolve());
      response.writeHead(200, { "Content-Type": "text/event-stream" });
      response.write(`data: ${JSON.stringify(textEvents[0])}\n\n`);
    });
    for await (const event of viewOf(server).generate(REQUEST)) if (event.type === "token") break;
    await closed.promise;
  });
});

describe("embedding by an endpoint", () => {
  const embedding = (vector: unknown, usage: unknown = { prompt_tokens: 3 }): Answer => ({
    json: { data: [{ embedding: vector }], usage },
  });

  it("asks text by text, in order, and says how many tokens each had", async () => {
    await using server = await endpoint(({ body }: Asked) => embedding([body.input.length, 0], { prompt_tokens: 2 }));
    const got = await Array.fromAsync(viewOf(server).embed(["a", "bc", [1, 2, 3]], { dimensions: 2 }));
    assert.deepEqual(got.map(({ vector, tokens }) => [[...vector], tokens]), [[[1, 0], 2], [[2, 0], 2], [[3, 0], 2]]);
    assert.deepEqual(server.asked[0]!.body, { model: "m", input: "a", encoding_format: "float", dimensions: 2 });
  });

  it("refuses what is no vector, or not as many numbers as were asked for", async () => {
    const embed = (view: View): Promise<unknown> => Array.fromAsync(view.embed(["a"], { dimensions: 2 }));
    for (const vector of [null, [], [1, null], "AAAA"]) {
      await fails(embedding(vector), embed, { code: "endpoint_failed", message: /finite numbers/ });
    }
    await fails(embedding([1]), embed, { message: /ignored dimensions/ });
    await fails(embedding([1, 2], null), embed, { message: /usage/ });
    await fails(echo(), (view) => Array.fromAsync(view.embed([""])), { code: "invalid_request", parameter: "input" });
  });
});

describe("a backend of an endpoint", () => {
  it("takes no adapters, holds no memory, and ends what runs when it is closed", async () => {
    const held = gate();
    await using server: Endpoint = await endpoint(() => () => void held.pass());
    const backend = openApiBackend({ clock: new HastyClock(), sha256 }, baseAt(server.url), { url: `${server.url}/` });
    assert.throws(() => backend.adapterView({} as never), { code: "invalid_request", parameter: "adapter" });
    assert.throws(() => backend.nullView({} as never, { seed: 1 }), { code: "invalid_request" });
    assert.deepEqual([backend.memory, backend.contextLength], [{ wasm: 0, gpu: 0 }, Infinity]);
    const running = backend.baseView().logprobs(TEXT, " sun");
    const failed = assert.rejects(running, { code: "worker_failed", message: /closed/ });
    await held.reached;
    await backend.close();
    await backend.close();
    await failed;
    assert.equal(await backend.closed, undefined);
  });
});
