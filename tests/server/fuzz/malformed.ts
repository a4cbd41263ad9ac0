/**
 * Requests as nobody should send them, the same ones for the same seed: each begins as one that is well formed, and has
 * some of it broken, from the first byte of its line to the last of its body.
 */

import { gzipSync } from "node:zlib";
import { randomBelow } from "../../support/random.ts";

/** What goes over one connection. */
export interface Malformed {
  /** What was done to it, for messages. */
  readonly what: readonly string[];
  readonly bytes: Uint8Array;
  /** Where the bytes are cut: each part is written by itself. */
  readonly cuts: readonly number[];
  /** Whether the client goes away as soon as all is written, without waiting for an answer. */
  readonly leaves: boolean;
}

/** What a request needs to know of the server. */
export interface Target {
  /** A key that opens everything but `admin`. */
  readonly key: string;
  /** A model that is there. */
  readonly model: string;
}

/** A request before it is broken. */
interface Draft {
  method: string;
  path: string;
  version: string;
  readonly headers: [string, string | Uint8Array][];
  body: Uint8Array;
  /** How the body is framed. */
  framing: "length" | "chunked" | "none";
  readonly what: string[];
}

const encoder = new TextEncoder();
const CRLF = encoder.encode("\r\n");

/** Makes them, one after the other. */
export class MalformedRequests {
  readonly #below: (below: number) => number;
  readonly #target: Target;

  constructor(seed: number, target: Target) {
    this.#below = randomBelow(seed);
    this.#target = target;
  }

  next(): Malformed {
    const kind = this.#below(20);
    if (kind === 0) return this.#garbage();
    const count = kind < 4 ? 2 + this.#below(6) : 1;
    const requests = Array.from({ length: count }, () => this.#request());
    const what = [...count > 1 ? [`${count} in one go`] : [], ...requests.flatMap(({ what }) => what)];
    return this.#sent(joined(requests.map(({ bytes }) => bytes)), what);
  }

  #garbage(): Malformed {
    const bytes = Uint8Array.from({ length: 1 + this.#below(2000) }, () => this.#below(256));
    const preface = encoder.encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    const hello = Uint8Array.of(0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03);
    const [what, begin] = this.#one<[string, Uint8Array]>([
      ["noise", new Uint8Array()],
      ["HTTP/2", preface],
      ["TLS", hello],
      ["empty lines", encoder.encode("\r\n".repeat(50))],
    ]);
    return this.#sent(joined([begin, bytes]), [what]);
  }

  #sent(bytes: Uint8Array, what: string[]): Malformed {
    const fate = this.#below(12);
    let sent = bytes;
    if (fate === 0) {
      sent = bytes.subarray(0, this.#below(bytes.length + 1));
      what.push(`cut after ${sent.length}`);
    }
    const cuts = Array.from({ length: this.#below(4) }, () => this.#below(sent.length + 1)).sort((a, b) => a - b);
    const leaves = fate <= 1;
    if (leaves) what.push("leaves");
    return { what, bytes: sent, cuts, leaves };
  }

  #request(): { readonly bytes: Uint8Array; readonly what: readonly string[] } {
    const draft = this.#draft();
    for (let changes = 1 + this.#below(3); changes > 0; changes--) {
      this.#one([this.#line, this.#path, this.#header, this.#header, this.#ours, this.#body, this.#body, this.#fields])
        .call(this, draft);
    }
    return { bytes: this.#bytes(draft), what: draft.what };
  }

  /** One that would be answered. */
  #draft(): Draft {
    const { model, key } = this.#target;
    const prompt = { model, prompt: "In the beginning", max_tokens: 2, temperature: 0 };
    const messages = [{ role: "user", content: "In the beginning" }];
    const [method, path, body] = this.#one<[string, string, unknown]>([
      ["POST", "/v1/completions", prompt],
      ["POST", "/v1/chat/completions", { model, messages, max_tokens: 2, stream: this.#below(2) === 0 }],
      ["POST", "/v1/embeddings", { model, input: ["In the beginning"] }],
      ["POST", "/run", { spec: { models: { base: model, ft: model }, suite: [] } }],
      ["POST", "/score", { spec: {}, names: [] }],
      ["POST", "/cache/explain", { request: prompt }],
      ["POST", "/cache/v1/calls", "message"],
      ["POST", "/cache/v1/list", "message"],
      ["GET", "/cache/stats", undefined],
      ["GET", "/v1/models", undefined],
      ["GET", `/v1/models/${model}`, undefined],
      ["GET", "/health", undefined],
      ["GET", "/livez", undefined],
      ["GET", "/readyz", undefined],
      ["GET", "/metrics", undefined],
      ["GET", "/stats", undefined],
      ["GET", "/", undefined],
      ["GET", "/openapi.json", undefined],
      ["GET", "/docs", undefined],
      ["GET", "/admin/events", undefined],
      ["POST", "/admin/models/load", { model }],
      ["POST", "/openai/v1/chat/completions", { model: "gpt-4o-mini", messages, stream: this.#below(2) === 0 }],
      ["POST", "/openai/v1/embeddings", { model: "text-embedding-3-small", input: ["a", "b"] }],
      ["POST", "/openai/v1/files", "anything"],
      ["GET", "/openai/v1/models", undefined],
      ["POST", "/anthropic/v1/messages", { model: "claude-3-5-haiku-latest", messages, max_tokens: 9 }],
      ["POST", "/google/v1beta/models/gemini-2.0-flash:generateContent", { contents: [{ parts: [{ text: "a" }] }] }],
    ]);
    const isMessage = path.startsWith("/cache/v1/");
    const text = body === undefined ? "" : typeof body === "string" ? body : JSON.stringify(body);
    const headers: [string, string][] = [["Host", "localhost"]];
    if (this.#below(6) > 0) headers.push(["X-Warmcache-Key", key]);
    if (body !== undefined) {
      headers.push(["Content-Type", isMessage ? "application/vnd.warmcache.store" : "application/json"]);
    }
    return {
      method,
      path,
      version: "HTTP/1.1",
      headers,
      body: encoder.encode(text),
      framing: body === undefined ? "none" : this.#below(3) === 0 ? "chunked" : "length",
      what: [`${method} ${path}`],
    };
  }

  #line(draft: Draft): void {
    const long = "M".repeat(1 + this.#below(20_000));
    const methods = [
      "get",
      "PUT",
      "DELETE",
      "PATCH",
      "OPTIONS",
      "HEAD",
      "TRACE",
      "CONNECT",
      "QUERY",
      "G\0T",
      "G T",
      "",
      "ÄT",
    ];
    const versions = [
      "HTTP/1.0",
      "HTTP/0.9",
      "HTTP/2.0",
      "HTTP/9.9",
      "HTTP/1.1 ",
      "http/1.1",
      "HTTP/1.",
      "",
      "HTCPCP/1.0",
    ];
    if (this.#below(2) === 0) draft.version = this.#one(versions);
    else draft.method = this.#one([...methods, long]);
    draft.what.push(`line: ${draft.method.slice(0, 20)} ${draft.version}`);
  }

  #path(draft: Draft): void {
    const { path } = draft;
    draft.path = this.#one([
      "*",
      "",
      "/%",
      "/%zz",
      "/%00",
      "/%ff%fe",
      "/\u00e4\u{1f600}",
      "//",
      "///v1/models",
      "/../../etc/passwd",
      "/v1/models/..%2f..%2f..%2fetc%2fpasswd",
      "/v1/models/%2e%2e/%2e%2e",
      "/openai/../admin/events",
      "/openai/%2e%2e/admin/events",
      "/openai//v1//models",
      "/openai/\\..\\admin",
      "/__proto__",
      "/constructor/prototype",
      "http://elsewhere.example/v1/models",
      "https://localhost:1/",
      "http://[::1",
      "localhost:80",
      `${path}?${"a=b&".repeat(this.#below(5000))}`,
      `${path}?key=%zz&key&=&__proto__=1#fragment`,
      `${path}/${"x".repeat(this.#below(70_000))}`,
      `${path}\t`,
      `${path} x`,
      `${path};a=b`,
      `${path}/`,
      path.toUpperCase(),
      `/v1/models/${encodeURIComponent("a+b:c@d/e")}`,
    ]);
    draft.what.push(`path: ${draft.path.slice(0, 60)}`);
  }

  #header(draft: Draft): void {
    const { headers } = draft;
    const add = (...added: [string, string | Uint8Array][]): void => {
      headers.push(...added);
      draft.what.push(`header: ${added[0]![0].slice(0, 30)}: ${String(added[0]![1]).slice(0, 30)} (${added.length})`);
    };
    const many = 50 + this.#below(200);
    const [at] = [this.#below(headers.length)];
    switch (this.#below(18)) {
      case 0:
        return add([
          "Content-Length",
          this.#one(["0", "1", "5", "99999999999999999999", "-1", "+3", "0x10", "3, 3", "3,4", " ", "1e3"]),
        ]);
      case 1:
        return add([
          "Transfer-Encoding",
          this.#one(["chunked", "gzip, chunked", "chunked, gzip", "identity", "xchunked", " chunked", "\x0bchunked"]),
        ]);
      case 2:
        return add(["Content-Length", "3"], ["Content-Length", "4"]);
      case 3:
        return add([
          "Host",
          this.#one(["elsewhere.example", "", "a b", "[::1", "localhost:99999", "localhost@x", "127.0.0.1\0"]),
        ]);
      case 4:
        draft.what.push("no Host");
        return void headers.splice(0, headers.length, ...headers.filter(([name]) => name !== "Host"));
      case 5:
        return add(["X-Big", "b".repeat(this.#below(80_000))]);
      case 6:
        return add(...Array.from({ length: many }, (_, index): [string, string] => [`X-${index}`, "v"]));
      case 7:
        return add(...Array.from({ length: many }, (): [string, string] => ["Cookie", "a=b"]));
      case 8:
        return add([this.#one(["", " ", "X Y", "X\0", "X\x80", "(x)", "X\t", ":"]), "v"]);
      case 9:
        return add(["X-Odd", this.#one(["a\0b", "a\rb", "\x7f", "a\r\n folded", "\u00e4", "\u{1f600}"])]);
      case 10:
        return add(["X-Bytes", Uint8Array.of(0xff, 0xfe, 0x80, 0x61)]);
      case 11:
        return add(["Expect", this.#one(["100-continue", "200-ok", ""])]);
      case 12:
        return add([
          "Connection",
          this.#one(["Upgrade", "keep-alive, X-Warmcache-Key, Content-Type", "close", "\u00e4"]),
        ], [
          "Upgrade",
          this.#one(["websocket", "h2c", "TLS/1.0"]),
        ]);
      case 13:
        return add(["Content-Encoding", this.#one(["gzip", "br", "zstd", "deflate, gzip", "x", ""])]);
      case 14:
        return add([
          "Content-Type",
          this.#one([
            "",
            "text/plain",
            "application/json; charset=utf-16",
            "multipart/form-data; boundary",
            "\u00e4",
            "application/json, text/html",
          ]),
        ]);
      case 15:
        return add([
          "Authorization",
          this.#one(["Bearer", "Bearer  x", "Basic \u00e4", "bearer " + "x".repeat(9000), "Bearer a, Bearer b"]),
        ]);
      case 16:
        return add(["Accept", this.#one(["*/*;q=x", "", "text/event-stream", ",,,"])], ["Range", "bytes=9-1"], [
          "TE",
          "trailers",
        ]);
      default:
        draft.what.push(`twice: ${headers[at]?.[0]}`);
        if (headers[at] !== undefined) headers.push(headers[at]);
    }
  }

  /** Headers that mean something to this server. */
  #ours(draft: Draft): void {
    const names = [
      "X-Warmcache-Key",
      "X-Warmcache-Mode",
      "X-Warmcache-TTL",
      "X-Warmcache-Namespace",
      "X-Warmcache-Sample",
      "X-Request-Id",
      "Cache-Control",
      "Origin",
      "Sec-Fetch-Site",
      "Access-Control-Request-Method",
      "X-Forwarded-For",
      "X-Forwarded-Host",
    ];
    const values = [
      "",
      "off",
      "replay",
      "refresh",
      "x",
      "-1",
      "1e999",
      "NaN",
      "key:other",
      "null",
      "http://evil.example",
      "a".repeat(300),
      "\u00e4",
      "no-store, max-age=x",
    ];
    const [name, value] = [this.#one(names), this.#one(values)];
    draft.headers.push([name, value]);
    draft.what.push(`ours: ${name}: ${value.slice(0, 20)}`);
  }

  #body(draft: Draft): void {
    const deep = 1 + this.#below(60_000);
    const text = new TextDecoder().decode(draft.body);
    const [what, body] = this.#one<[string, () => Uint8Array | string]>([
      ["nothing", () => ""],
      ["null", () => this.#one(["null", "1", "[]", '"text"', "true", "{}", " ", "\ufeff{}"])],
      ["half of it", () => text.slice(0, text.length / 2)],
      ["more behind it", () => `${text}${this.#one(["}", "x", "\0", text])}`],
      [
        "not UTF-8",
        () => joined([draft.body.subarray(0, 12), Uint8Array.of(0xc3, 0x28, 0xff), draft.body.subarray(12)]),
      ],
      ["UTF-16", () => Uint8Array.from([...text].flatMap((letter) => [letter.charCodeAt(0), 0]))],
      ["half a surrogate", () => text.replace("beginning", "\\ud800")],
      ["deep lists", () => "[".repeat(deep) + "]".repeat(deep)],
      ["deep objects", () => text.replace(/^\{/, `{"deep":${'{"a":'.repeat(deep)}1${"}".repeat(deep)},`)],
      ["deep and open", () => '{"a":'.repeat(deep)],
      ["gzip", () => gzipSync(draft.body)],
      ["broken gzip", () => gzipSync(draft.body).subarray(0, 15)],
      ["a bomb", () => gzipSync(new Uint8Array(4 * 1024 * 1024))],
      ["long numbers", () => text.replace(/\d+/, "9".repeat(1 + this.#below(2000)))],
      ["a name twice", () => text.replace(/^\{/, '{"model":"other","model":null,')],
      ["prototypes", () => text.replace(/^\{/, '{"__proto__":{"a":1},"constructor":{"prototype":1},')],
      ["control characters", () => text.replace("beginning", "\x00\x01\x1f")],
      [
        "many names",
        () => text.replace(/^\{/, `{${Array.from({ length: 3000 }, (_, index) => `"n${index}":0,`).join("")}`),
      ],
      ["noise", () => Uint8Array.from({ length: this.#below(5000) }, () => this.#below(256))],
    ]);
    const made = body();
    draft.body = typeof made === "string" ? encoder.encode(made) : made;
    if (what.includes("gzip") && this.#below(2) === 0) draft.headers.push(["Content-Encoding", "gzip"]);
    if (draft.framing === "none" && this.#below(2) === 0) draft.framing = "length";
    draft.what.push(`body: ${what}`);
  }

  /** Values where others belong. */
  #fields(draft: Draft): void {
    const body = fieldsIn(draft.body);
    if (body === undefined) return this.#body(draft);
    const names = [
      ...Object.keys(body),
      ...[
        "n",
        "stop",
        "logprobs",
        "seed",
        "stream_options",
        "logit_bias",
        "tools",
        "keep_alive",
        "cache",
        "prompt",
        "model",
      ],
      ...[
        "only_if_warm",
        "response_format",
        "max_tokens",
        "temperature",
        "echo",
        "input",
        "spec",
        "\u0000",
        "__proto__",
      ],
    ];
    const values = [
      ...[null, true, -1, 0.5, 1e308, 2 ** 53, "", "x", [], {}, [[]], [null], [1, "a"], { a: { b: [] } }, "\u{1f600}"],
      ...["a".repeat(20_000), Array.from({ length: 3000 }, () => "a"), "../../etc/passwd", "kjv-tiny+../x", "\u0000"],
    ];
    const [name, value] = [this.#one(names), this.#one(values)];
    draft.body = encoder.encode(JSON.stringify({ ...body, [name]: value }));
    draft.what.push(`field: ${name} = ${String(JSON.stringify(value)).slice(0, 20)}`);
  }

  #bytes(draft: Draft): Uint8Array {
    const { method, path, version, headers, framing, what } = draft;
    const parts: Uint8Array[] = [encoder.encode(`${method} ${path} ${version}`.trimEnd()), CRLF];
    const framed = this.#framed(draft.body, framing, what);
    for (const [name, value] of [...headers, ...framed.headers]) {
      parts.push(encoder.encode(`${name}: `), typeof value === "string" ? encoder.encode(value) : value);
      const isBare = this.#below(200) === 0;
      if (isBare) what.push("a bare line feed");
      parts.push(isBare ? encoder.encode("\n") : CRLF);
    }
    return joined([...parts, CRLF, framed.body]);
  }

  #framed(
    body: Uint8Array,
    framing: Draft["framing"],
    what: string[],
  ): { readonly headers: [string, string][]; readonly body: Uint8Array } {
    if (framing === "none") return { headers: [], body };
    if (framing === "length") {
      const wrong = this.#below(8) === 0 ? this.#one([-1, 1, 7, 100_000]) : 0;
      if (wrong !== 0) what.push(`length: ${wrong}`);
      return { headers: [["Content-Length", String(Math.max(0, body.length + wrong))]], body };
    }
    const chunks: Uint8Array[] = [];
    for (let at = 0; at < body.length;) {
      const size = Math.max(1, Math.ceil(body.length / 4));
      const chunk = body.subarray(at, at + size);
      const isBroken = this.#below(12) === 0;
      const said = isBroken
        ? this.#one([
          "",
          "g",
          "-1",
          "ffffffffffffffff",
          "1;x=\0",
          `${chunk.length.toString(16)};ext=${"e".repeat(this.#below(20_000))}`,
          "0x5",
        ])
        : chunk.length.toString(16);
      if (isBroken) what.push(`chunk: ${said.slice(0, 20)}`);
      chunks.push(encoder.encode(`${said}\r\n`), chunk, CRLF);
      at += size;
    }
    const end = this.#one([
      "0\r\n\r\n",
      "0\r\n\r\n",
      "0\r\n\r\n",
      "0\r\n\r\n",
      "0\r\nX: y\r\n\r\n",
      "0\r\n",
      "",
      "0;\r\n\r\n",
    ]);
    if (end !== "0\r\n\r\n") what.push(`end: ${JSON.stringify(end)}`);
    return { headers: [["Transfer-Encoding", "chunked"]], body: joined([...chunks, encoder.encode(end)]) };
  }

  #one<T>(choices: readonly T[]): T {
    return choices[this.#below(choices.length)]!;
  }
}

/** The fields of a body that has not been broken yet. */
function fieldsIn(body: Uint8Array): object | undefined {
  // Longer ones were; and what is too deep can be read, and not be written again.
  if (body.length > 8000) return undefined;
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(body));
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
