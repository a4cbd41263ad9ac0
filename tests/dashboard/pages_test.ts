/** The pages over HTTP, as they are without a script: who may see them, and what is on them. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SESSION_COOKIE } from "../../src/http/dashboard/admission.ts";
import type { RunningServer } from "../../src/compose/server.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { getJson, post, testServer } from "../server/support.ts";
import { CHAT, CHAT_PATH, startProxy } from "../proxy/support.ts";

const HTML = { Accept: "text/html" };

function get(
  server: { readonly url: string },
  path: string,
  headers: Record<string, string> = HTML,
): Promise<Response> {
  return fetch(`${server.url}${path}`, { headers, redirect: "manual" });
}

/** Sends a form as a page of the server would. */
function send(
  server: { readonly url: string },
  path: string,
  fields: Record<string, string>,
  headers: Record<string, string> = {},
): Promise<Response> {
  return fetch(`${server.url}${path}`, {
    method: "POST",
    headers: { ...HTML, Origin: server.url, ...headers },
    body: new URLSearchParams(fields),
    redirect: "manual",
  });
}

async function textOf(response: Response | Promise<Response>): Promise<string> {
  return (await (await response).text()).replaceAll("\u00a0", " ");
}

/** The cookie that a response sets, as the next request sends it. */
function cookieOf(response: Response): string {
  return response.headers.getSetCookie().map((each) => each.split(";")[0]).join("; ");
}

async function logIn(server: RunningServer, key: string): Promise<string> {
  const response = await send(server, "/login", { key, back: "/" });
  assert.equal(response.status, 303);
  return cookieOf(response);
}

describe("the overview", () => {
  it("says on the first day what to do", async () => {
    await using server = await testServer({ cache: await temporaryFolder() });
    const response = await get(server, "/");
    assert.equal(response.status, 200);
    const text = await textOf(response);
    assert.match(text, /Nothing was asked yet/);
    assert.ok(text.includes(`curl ${server.url}/v1/completions`));
    // It is what one copies that has to work.
    const command = /<code>(curl .*?)<\/code>/s.exec(text)![1]!.replaceAll("&quot;", '"').replaceAll("&#39;", "'");
    const body = JSON.parse(/-d '(.*)'$/s.exec(command)![1]!);
    const answer = await post(server, "/v1/completions", body);
    assert.equal(answer.status, 200);
    await answer.body!.cancel();
    assert.doesNotMatch(await textOf(get(server, "/")), /Nothing was asked yet/);
    assert.match(text, /No model is in memory/);
  });

  it("says on the first day which keys are needed, and shows a provider where there is no model", async () => {
    const [models, cache] = [await temporaryFolder(), await temporaryFolder()];
    await using server = await testServer({ models, hub: false, cache, apiKey: "a key" });
    const text = await textOf(get(server, "/", { ...HTML, Authorization: "Bearer a key" }));
    assert.ok(text.includes(`curl ${server.url}/openai/v1/chat/completions`));
    assert.ok(text.includes("X-Warmcache-Key: $WARMCACHE_API_KEY"));
    assert.ok(text.includes("Authorization: Bearer $OPENAI_API_KEY"));
  });

  it("shows the figures of /stats and /health, and the requests behind them", async () => {
    await using server = await testServer({ cache: await temporaryFolder() });
    const body = { model: "kjv-tiny+fortunes", prompt: "In the beginning", max_tokens: 2, seed: 1 };
    for (let time = 0; time < 3; time++) await (await post(server, "/v1/completions", body)).body!.cancel();
    const { cache } = await getJson(server, "/stats");
    const text = await textOf(get(server, "/"));
    assert.equal(cache.hits, 2);
    assert.match(text, /66\.6<span class="sign">/);
    assert.ok(text.includes("2 hits of 3 lookups"));
    const tokens = cache.saved.prompt_tokens + cache.saved.completion_tokens;
    assert.ok(text.includes(`Tokens saved</th><td>${tokens}</td><td>${tokens}</td><td>${tokens}</td>`));
    const { loaded_models: [model] } = await getJson(server, "/health");
    assert.ok(text.includes(model.identity.slice(0, 12)));
    assert.match(text, /it stays until its room is needed/);
    assert.match(text, /<strong>kjv-tiny<\/strong> is warm after/);
    assert.match(text, /<span class="chip">fortunes/);
    assert.match(text, /<span class="outcome is-hit">hit<\/span>/);
    assert.doesNotMatch(text, /beginning/, "what was said is nowhere");
  });

  it("is found under /dashboard too, and leads to the API's description and back", async () => {
    await using server = await testServer({});
    const { status, headers } = await fetch(`${server.url}/dashboard`, { redirect: "manual" });
    assert.deepEqual([status, headers.get("Location")], [303, "/"]);
    assert.match(await textOf(get(server, "/")), /<a href="\/docs">API<\/a>/);
    assert.match(await textOf(get(server, "/docs")), /<a href="\/">the dashboard<\/a>/);
  });

  it("is in the colours that were chosen", async () => {
    await using server = await testServer({ cache: await temporaryFolder() });
    const chosen = await send(server, "/dashboard/theme", { theme: "dark", back: "/dashboard/requests?text=a" });
    assert.equal(chosen.status, 303);
    assert.equal(chosen.headers.get("Location"), "/dashboard/requests?text=a");
    assert.match(await textOf(get(server, "/", { ...HTML, Cookie: cookieOf(chosen) })), /data-theme="dark"/);
    for (const back of ["//evil.example/", "/\\evil.example", "https://evil.example", ""]) {
      assert.equal((await send(server, "/dashboard/theme", { theme: "x", back })).headers.get("Location"), "/");
    }
  });

  it("links to a style and a script that may be kept for ever", async () => {
    await using server = await testServer({ cache: await temporaryFolder() });
    const text = await textOf(get(server, "/"));
    const links = [...text.matchAll(/(?:href|src)="(\/dashboard\/[a-z]+\.[a-z]+\?v=[0-9a-f]{12})"/g)].map(([, link]) =>
      link!
    );
    assert.equal(links.length, 3);
    for (const link of links) {
      const asset = await get(server, link);
      assert.equal(asset.status, 200);
      assert.match(asset.headers.get("Cache-Control")!, /immutable/);
      assert.ok((await asset.text()).length > 100);
    }
  });
});

describe("/dashboard/events", () => {
  it("tells of a load as it happens, and ends with the server", async () => {
    const server = await testServer({ cache: await temporaryFolder() });
    const response = await get(server, "/dashboard/events?after=0", {});
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    await (await post(server, "/v1/completions", { model: "kjv-tiny", prompt: "And", max_tokens: 1 })).body!.cancel();
    let text = "";
    while (!text.includes("kjv-tiny is warm after")) text += (await reader.read()).value;
    assert.match(text, /id: 1\nevent: base\ndata: {"base":"kjv-tiny","tone":"note","text":"kjv-tiny is loading/);
    const stopped = server.stop();
    for (let next = await reader.read(); !next.done; next = await reader.read());
    await stopped;
  });
});

describe("the explorer", () => {
  it("lists stored requests, shows one with its answer, and takes no part in the counts", async () => {
    await using proxy = await startProxy();
    const { server } = proxy;
    await (await proxy.post(CHAT_PATH, CHAT)).body!.cancel();
    const list = await textOf(get(server, "/dashboard/requests"));
    assert.match(list, /Will it rain\?/);
    const link = /href="(\/dashboard\/requests\/[0-9a-f]{64}[^"]*)"/.exec(list)![1]!.replaceAll("&amp;", "&");
    const entry = await textOf(get(server, link));
    assert.match(entry, /<blockquote[^>]*>It will rain tomorrow, and then it will not\./);
    assert.match(entry, /<dt>Expires<\/dt><dd>never/);
    assert.match(entry, /<b>&quot;model&quot;<\/b>: <i>&quot;gpt-4o-mini&quot;<\/i>/);
    assert.equal((await getJson(server, "/stats")).cache.lookups, 1);
    assert.match(await textOf(get(server, "/dashboard/requests?text=RAIN&model=gpt-4o-mini")), /Will it rain\?/);
    assert.match(await textOf(get(server, "/dashboard/requests?text=snow")), /No stored request fits/);
    const missing = await get(server, `/dashboard/requests/${"0".repeat(64)}`);
    assert.equal(missing.status, 404);
    assert.match(missing.headers.get("Content-Type")!, /html/);
    await missing.body!.cancel();
  });

  it("explains how a request differs from what is stored, path by path", async () => {
    await using proxy = await startProxy();
    const { server } = proxy;
    await (await proxy.post(CHAT_PATH, CHAT)).body!.cancel();
    const other = JSON.stringify({ ...CHAT, messages: [{ role: "user", content: "Will it snow?" }] });
    const text = await textOf(send(server, "/dashboard/explain", { request: other }));
    assert.match(text, /<span class="verdict is-miss">Miss<\/span>/);
    assert.match(text, /<code>\$\.messages\[0\]\.content<\/code>/);
    assert.match(text, /Will it <del>rain<\/del>\?/);
    assert.match(text, /Will it <ins>snow<\/ins>\?/);
    const same = await textOf(send(server, "/dashboard/explain", { request: JSON.stringify(CHAT) }));
    assert.match(same, /<span class="verdict is-hit">Hit<\/span> 1 answer is stored/);
  });

  it("says what is wrong with what is no request", async () => {
    await using server = await testServer({ cache: await temporaryFolder() });
    for (const request of ["{", "[]", "1", '{"messages":[]}', ""]) {
      const response = await send(server, "/dashboard/explain", { request });
      assert.equal(response.status, 400, request);
      assert.match(await response.text(), /role="alert"/);
    }
  });

  it("shows hostile names and texts as they are", async () => {
    await using proxy = await startProxy();
    const hostile = `</pre><img src=x onerror="alert(1)">`;
    proxy.upstream.answer = ({ body }) =>
      Response.json({
        model: body.model,
        choices: [{ index: 0, message: { content: hostile }, finish_reason: "stop" }],
      });
    await (await proxy.post(CHAT_PATH, { ...CHAT, model: hostile, messages: [{ role: "user", content: hostile }] }))
      .body!
      .cancel();
    const list = await textOf(get(proxy.server, "/dashboard/requests"));
    const link = /href="(\/dashboard\/requests\/[0-9a-f]{64}[^"]*)"/.exec(list)![1]!.replaceAll("&amp;", "&");
    const pages = [list, await textOf(get(proxy.server, link)), await textOf(get(proxy.server, "/"))];
    for (const text of pages) {
      assert.ok(text.includes("&lt;img src=x"));
      assert.ok(!text.includes("<img"));
    }
  });
});

describe("a server with keys", () => {
  const apiKey = [
    "alice=alice's key",
    "bob=bob's key",
    { id: "models", key: "no status", scopes: ["models"] as const },
  ];

  it("asks to log in, and goes on where one wanted to go", async () => {
    await using server = await testServer({ cache: await temporaryFolder(), apiKey });
    const refused = await get(server, "/dashboard/requests?text=a&model=b");
    assert.equal(refused.status, 303);
    const login = refused.headers.get("Location")!;
    assert.equal(login, "/login?back=%2Fdashboard%2Frequests%3Ftext%3Da%26model%3Db");
    assert.match(await textOf(get(server, login)), /<label for="key">API key<\/label>/);
    const wrong = await send(server, "/login", { key: "nobody's", back: "/" });
    assert.equal(wrong.status, 401);
    assert.match(await wrong.text(), /role="alert">That is no API key of this server/);
    assert.match(await textOf(send(server, "/login", { key: "no status" })), /does not have the scope status/);
    const done = await send(server, "/login", { key: "alice's key", back: "/dashboard/requests?text=a" });
    assert.equal(done.headers.get("Location"), "/dashboard/requests?text=a");
    const [cookie] = done.headers.getSetCookie();
    assert.match(
      cookie!,
      new RegExp(`^${SESSION_COOKIE}=[0-9a-f]{64}; Max-Age=43200; Path=/; HttpOnly; SameSite=Strict$`),
    );
    const page = await textOf(get(server, "/", { ...HTML, Cookie: cookieOf(done) }));
    assert.match(page, /Log out/);
  });

  it("takes a key in a header as well, and tells programs and events no pages", async () => {
    await using server = await testServer({ cache: await temporaryFolder(), apiKey });
    assert.equal((await get(server, "/", { ...HTML, Authorization: "Bearer bob's key" })).status, 200);
    assert.equal((await get(server, "/", { ...HTML, Authorization: "Bearer no status" })).status, 403);
    assert.equal((await get(server, "/", { ...HTML, Authorization: "Bearer wrong" })).status, 401);
    for (const path of ["/", "/dashboard/events", "/dashboard/requests"]) {
      const refused = await get(server, path, { Accept: "*/*" });
      assert.equal(refused.status, 401);
      assert.equal((await refused.json()).error.code, "invalid_api_key");
    }
  });

  it("forgets who logs out", async () => {
    await using server = await testServer({ cache: await temporaryFolder(), apiKey });
    const Cookie = await logIn(server, "alice's key");
    assert.equal((await get(server, "/", { ...HTML, Cookie })).status, 200);
    const out = await send(server, "/dashboard/logout", {}, { Cookie });
    assert.match(out.headers.getSetCookie()[0]!, /Max-Age=0/);
    assert.equal((await get(server, "/", { ...HTML, Cookie })).status, 303);
  });

  it("does nothing with a cookie that another page sends", async () => {
    await using server = await testServer({
      cache: await temporaryFolder(),
      apiKey,
      corsOrigins: ["http://localhost:1"],
    });
    const Cookie = await logIn(server, "alice's key");
    for (const Origin of ["https://evil.example", "http://localhost:1", "null"]) {
      for (const path of ["/dashboard/explain", "/dashboard/logout", "/login"]) {
        assert.equal((await send(server, path, { request: "{}", key: "alice's key" }, { Cookie, Origin })).status, 403);
      }
    }
    assert.equal((await get(server, "/", { ...HTML, Cookie })).status, 200, "nobody was logged out");
  });

  it("opens nothing else with the cookie", async () => {
    await using server = await testServer({ cache: await temporaryFolder(), apiKey });
    const Cookie = await logIn(server, "alice's key");
    for (const path of ["/stats", "/v1/models", "/cache/stats", "/openai/v1/models"]) {
      assert.equal((await get(server, path, { Cookie })).status, 401, path);
    }
  });

  it("shows nobody what another's key asked and stored", async () => {
    await using proxy = await startProxy({ apiKey });
    const { server } = proxy;
    const asked = await proxy.post(CHAT_PATH, CHAT, { "X-Warmcache-Key": "alice's key" });
    assert.equal(asked.status, 200);
    await asked.body!.cancel();
    const alice = { ...HTML, Cookie: await logIn(server, "alice's key") };
    const bob = { ...HTML, Cookie: await logIn(server, "bob's key") };
    const list = await textOf(get(server, "/dashboard/requests", alice));
    assert.match(list, /Will it rain\?/);
    assert.match(await textOf(get(server, "/", alice)), /<span class="outcome is-miss">miss<\/span>/);
    const link = /href="(\/dashboard\/requests\/[0-9a-f]{64}[^"]*)"/.exec(list)![1]!.replaceAll("&amp;", "&");
    assert.match(await textOf(get(server, link, alice)), /It will rain tomorrow/);

    assert.match(await textOf(get(server, "/dashboard/requests", bob)), /No answer is stored here yet/);
    assert.equal((await get(server, link, bob)).status, 404);
    assert.equal((await get(server, `${link}&namespace=key:alice`, bob)).status, 404);
    assert.match(await textOf(get(server, "/", bob)), /No model was asked for since the server started/);
    const request = JSON.stringify({ ...CHAT, temperature: 1 });
    const explained = await textOf(send(server, "/dashboard/explain", { request }, bob));
    assert.match(explained, /No stored request resembles it/);
    const own = await textOf(send(server, "/dashboard/explain", { request }, alice));
    assert.match(own, /<code>\$\.temperature<\/code>/);
  });
});
