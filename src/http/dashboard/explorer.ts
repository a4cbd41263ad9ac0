/**
 * The list of stored requests, and one of them with its answer.
 *
 * @module
 */

import type { Entry } from "../../cache/answer/entry.ts";
import type { StoredRequest } from "../../cache/request/stored_request.ts";
import { lastWords } from "../../cache/request/last_words.ts";
import type { Milliseconds } from "../../runtime/runtime.ts";
import { answerTexts } from "../../cache/answer/answer_text.ts";
import { age, bytes, count, counted, dateTime, dollars, duration } from "../../runtime/readable.ts";
import { type Html, markup, NOTHING } from "./html.ts";
import { jsonView, textView } from "./json_view.ts";
import { type Fact, factList } from "./page.ts";
import { MOST_READ, PAGE_SIZE, type RequestPage, type Wanted } from "./stored_requests.ts";
import { addressOf, listAddress } from "./tables.ts";

/** The list. */
export function requestList(
  wanted: Wanted,
  { requests, hasMore, isCut }: RequestPage,
  models: readonly string[],
): Html {
  const { model, namespace, text, from } = wanted;
  const isNarrowed = model !== undefined || text !== "" || namespace !== undefined;
  const words = { model, namespace, text };
  return markup`<div class="page">
<h1>Stored requests</h1>
<p class="lead">What has an answer in the cache, in the order of the store. Looking at it counts as no lookup.</p>
<form class="filter" method="get" action="/dashboard/requests" role="search">
<div><label for="model">Model</label><input id="model" name="model" list="models" value="${
    model ?? ""
  }" placeholder="any" autocomplete="off"></div>
<datalist id="models">${models.map((each) => markup`<option value="${each}"></option>`)}</datalist>
<div class="grow"><label for="text">Text in the request</label><input id="text" name="text" type="search" value="${text}" placeholder="any"></div>
<div><label for="namespace">Namespace</label><input id="namespace" name="namespace" value="${
    namespace ?? ""
  }" placeholder="default" autocomplete="off"></div>
<button type="submit">Find</button>
</form>
${requests.length === 0 ? noneFound(isNarrowed || from > 0) : listOf(requests, namespace)}
${
    isCut
      ? markup`<p class="note">The first ${
        count(
          MOST_READ,
        )
      } requests were looked through. Name a model or more of the text to find what lies behind.</p>`
      : NOTHING
  }
${
    from > 0 || hasMore
      ? markup`<nav class="pages" aria-label="Pages">${
        from > 0
          ? markup`<a href="${listAddress({ ...words, from: Math.max(0, from - PAGE_SIZE) })}" rel="prev">← Before</a>`
          : markup`<span></span>`
      }<span class="faint">${count(from + 1)} to ${count(from + requests.length)}</span>${
        hasMore
          ? markup`<a href="${listAddress({ ...words, from: from + PAGE_SIZE })}" rel="next">After →</a>`
          : markup`<span></span>`
      }</nav>`
      : NOTHING
  }
</div>`;
}

function noneFound(isNarrowed: boolean): Html {
  return isNarrowed
    ? markup`<p class="empty">No stored request fits. <a href="/dashboard/requests">Show all</a></p>`
    : markup`<p class="empty">No answer is stored here yet. <a href="/">The overview</a> says how to begin.</p>`;
}

function listOf(requests: readonly StoredRequest[], namespace: string | undefined): Html {
  return markup`<ul class="stored">${
    requests.map((request) => {
      const { key, model, provider, endpoint, body } = request;
      return markup`<li><a href="${
        entryAddress(key, { model, namespace })
      }"><span class="stored-head"><strong>${model}</strong> <span class="faint">${provider} ${endpoint}</span><code>${
        key.slice(0, 12)
      }</code></span><span class="excerpt">${lastWords(body)}</span></a></li>`;
    })
  }</ul>`;
}

/** Where a stored request is shown: in a namespace as its reader calls it. */
function entryAddress(key: string, place: Pick<Wanted, "model" | "namespace">): string {
  return addressOf(`/dashboard/requests/${key}`, { ...place });
}

/** One request, and what was answered; `undefined` where none may be served any more. */
export function entryPage(
  request: StoredRequest,
  entry: Entry | undefined,
  { namespace: asked, now }: { readonly namespace: string | undefined; readonly now: Milliseconds },
): Html {
  const { key, model, provider, endpoint, namespace, identity, body } = request;
  const place = { model, namespace: asked };
  const whole = markup`<code class="whole">${key}</code>`;
  const facts: readonly Fact[] = [
    ["Asked of", markup`${provider} <code>${endpoint}</code>`],
    ...namespace === "" ? [] : [["Namespace", markup`<code>${namespace}</code>`] as const],
    ...identity === null
      ? []
      : [["Model’s content", markup`<code title="${identity}">${identity.slice(0, 12)}</code>`] as const],
  ];
  return markup`<div class="page">
<p class="crumb"><a href="${listAddress(place)}">Stored requests</a></p>
<h1>${model}</h1>
<p class="lead">${lastWords(body)}</p>
${factList([...facts, ...entry === undefined ? [] : entryFacts(entry, now), ["Key", whole]], "wide")}
<p class="actions"><a class="button" href="${
    addressOf("/dashboard/explain", { key, ...place })
  }">Explain a change to it</a></p>
<div class="halves">
<section aria-labelledby="asked-name"><h2 id="asked-name">Request</h2>${jsonView(body, "The request as JSON")}</section>
<section aria-labelledby="answer-name"><h2 id="answer-name">Answer</h2>${
    entry === undefined
      ? markup`<p class="empty">None of its answers may be served now: they have expired, or cannot be read.</p>`
      : answerView(entry)
  }</section>
</div>
</div>`;
}

function entryFacts(entry: Entry, now: Milliseconds): readonly Fact[] {
  const { created, expires, costMicrodollars, usage: { promptTokens, completionTokens }, latency, outcome, samples } =
    entry;
  const { modelAnswered, modelAsked } = entry;
  const unsaid = "not said";
  return [
    ["Stored", markup`${dateTime(created)}, <span class="faint">${age(now - created)} ago</span>`],
    [
      "Expires",
      expires === null ? "never" : markup`${dateTime(expires)}, <span class="faint">in ${age(expires - now)}</span>`,
    ],
    [
      "Outcome",
      markup`<span class="outcome is-${outcome}">${outcome}</span>${
        samples === 1 ? NOTHING : ` of ${counted(samples, "sample")}`
      }`,
    ],
    ["Cost", costMicrodollars === null ? unsaid : dollars(costMicrodollars)],
    [
      "Tokens",
      `${promptTokens === null ? "?" : count(promptTokens)} in, ${
        completionTokens === null ? "?" : count(completionTokens)
      } out`,
    ],
    ["Took", latency === null ? unsaid : duration(latency)],
    ...modelAnswered === null || modelAnswered === modelAsked ? [] : [["Answered by", modelAnswered] as const],
  ];
}

function answerView(entry: Entry): Html {
  const { mediaType } = entry;
  // Vectors are stored as numbers, not as digits.
  if (!mediaType.includes("json")) {
    return markup`<p class="empty">${bytes(entry.bytes().length)} of <code>${mediaType}</code>.</p>`;
  }
  let answer: unknown;
  try {
    answer = entry.json();
  } catch {
    return textView(entry.text(), "The answer as it was stored");
  }
  const texts = answerTexts(answer);
  const whole = jsonView(answer, "The answer as JSON");
  if (texts.length === 0) return whole;
  return markup`${
    texts.map((text) => markup`<blockquote class="answer" tabindex="0">${text}</blockquote>`)
  }<details class="more"><summary>The whole answer as JSON</summary>${whole}</details>`;
}
