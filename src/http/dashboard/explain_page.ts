/**
 * Why a request is a hit or none, for eyes: the stored requests that come nearest to it, and what differs, side by side.
 *
 * @module
 */

import type { Difference } from "../../cache/explain/differences.ts";
import type { NearRequest } from "../../cache/explain/explain.ts";
import type { Explanation } from "../../cache/explain/explanation.ts";
import { wholeCharacter } from "../../cache/explain/excerpt.ts";
import { commonEnds } from "../../cache/explain/likeness.ts";
import type { Scope } from "../../cache/request/scope.ts";
import { gauge } from "./chart.ts";
import { count, counted, dateTime, percent } from "../../runtime/readable.ts";
import { type Html, markup, NOTHING } from "./html.ts";

/** What stands in the form. */
export interface Question {
  readonly request: string;
  readonly scope: Readonly<Record<keyof Scope, string>>;
}

/** What came of it, if it was asked. */
export type Finding =
  | { readonly explanation: Explanation }
  | { readonly problem: string }
  | undefined;

const FIELDS: readonly (readonly [keyof Scope, label: string, hint: string])[] = [
  ["provider", "Provider", "openai"],
  ["endpoint", "Endpoint", "/v1/chat/completions"],
  ["namespace", "Namespace", "default"],
  ["identity", "Model’s content", "none"],
];

/** Near requests that are shown. */
const SHOWN = 5;

/** The page. */
export function explainPage({ request, scope }: Question, finding: Finding): Html {
  const problem = finding !== undefined && "problem" in finding ? finding.problem : undefined;
  return markup`<div class="page">
<h1>Explain a request</h1>
<p class="lead">Paste the JSON of a request. You see whether it would be answered from the cache, and, if not, how it differs from those that would.</p>
<form class="ask" method="post" action="/dashboard/explain">
<label for="request">Request</label>
<textarea id="request" name="request" rows="12" spellcheck="false" autocomplete="off" required placeholder="{ &quot;model&quot;: …, &quot;messages&quot;: … }"${
    problem === undefined ? NOTHING : markup` aria-invalid="true" aria-describedby="problem"`
  }>
${request}</textarea>
${problem === undefined ? NOTHING : markup`<p class="error" id="problem" role="alert">${problem}</p>`}
<div class="fields">${
    FIELDS.map(([name, label, hint]) =>
      markup`<div><label for="${name}">${label}</label><input id="${name}" name="${name}" value="${
        scope[name]
      }" placeholder="${hint}" autocomplete="off"></div>`
    )
  }<button type="submit">Explain</button></div>
<p class="note">An empty field means what it shows in grey. For a model of this server begin with one of its <a href="/dashboard/requests">stored requests</a>, which fills them in.</p>
</form>
${finding !== undefined && "explanation" in finding ? explained(finding.explanation) : NOTHING}
</div>`;
}

function explained({ key, bypass, samples, input, unusable, failures, nearest }: Explanation): Html {
  const shown = nearest.slice(0, SHOWN);
  return markup`<section class="finding" aria-labelledby="finding-name">
<h2 id="finding-name">${verdictOf(samples, bypass)}</h2>
${bypass === undefined ? NOTHING : markup`<p>${bypass}</p>`}
${input === undefined ? NOTHING : markup`<p>Of its inputs, this is about number ${input + 1}.</p>`}
${
    unusable !== undefined && samples === 0 && Object.values(unusable).includes(true)
      ? markup`<p>It is stored, but what was answered is ${
        Object.entries({ expired: unusable.expired, broken: unusable.corrupt, "of an older version": unusable.stale })
          .flatMap(([name, is]) => is ? [name] : []).join(", ")
      }.</p>`
      : NOTHING
  }
${
    failures === null
      ? NOTHING
      : markup`<p class="error">${counted(failures.count, "call")} for it failed, the last ${
        dateTime(failures.last)
      }: ${failures.message}</p>`
  }
${key === null ? NOTHING : markup`<p class="faint">Its key is <code class="whole">${key}</code></p>`}
${
    bypass !== undefined
      ? NOTHING
      : shown.length === 0
      ? markup`<p class="empty">No stored request resembles it.</p>`
      : markup`<h3>${samples > 0 ? "Others that resemble it" : "What comes nearest"}</h3>
<ol class="nearest">${shown.map(nearRequest)}</ol>`
  }
</section>`;
}

function verdictOf(samples: number, bypass: string | undefined): Html {
  if (bypass !== undefined) return markup`<span class="verdict is-none">Bypass</span> The cache would not be asked`;
  if (samples === 0) return markup`<span class="verdict is-miss">Miss</span> It is not in the cache`;
  return markup`<span class="verdict is-hit">Hit</span> ${counted(samples, "answer")} ${
    samples === 1 ? "is" : "are"
  } stored`;
}

function nearRequest({ key, provider, endpoint, similarity, differences, differenceCount }: NearRequest): Html {
  const words = `${percent(similarity)} the same`;
  const more = differenceCount - differences.length;
  return markup`<li>
<div class="near-head"><strong>${words}</strong>${
    gauge(words, [{ label: words, value: similarity, look: "fill" }], 1)
  }<span class="faint">${provider} ${endpoint}</span><code>${key.slice(0, 12)}</code></div>
${
    differences.length === 0
      ? markup`<p class="faint">Nothing in their JSON differs.</p>`
      : markup`<div class="scroll" tabindex="0" role="region" aria-label="Differences from ${key.slice(0, 12)}">
<table class="diff">
<thead>
<tr>
<th scope="col">Where</th>
<th scope="col">Stored</th>
<th scope="col">Asked</th>
</tr>
</thead>
<tbody>${differences.map(differenceRow)}</tbody>
</table>
</div>`
  }
${more > 0 ? markup`<p class="faint">and ${count(more)} more</p>` : NOTHING}
</li>`;
}

function differenceRow({ path, kind, stored, asked, offset }: Difference): Html {
  const [before, after] = marked(stored, asked);
  const place = offset === undefined ? NOTHING : markup`<span class="under">from ${count(offset)} on</span>`;
  return markup`<tr class="is-${kind}">
<th scope="row"><code>${path}</code>${place}</th>
<td data-label="Stored">${
    before === undefined ? markup`<span class="faint">absent</span>` : markup`<code>${before}</code>`
  }</td>
<td data-label="Asked">${
    after === undefined ? markup`<span class="faint">absent</span>` : markup`<code>${after}</code>`
  }</td>
</tr>`;
}

/** Both values, with what is only in one of them marked. */
function marked(stored: string | undefined, asked: string | undefined): readonly [Html | undefined, Html | undefined] {
  if (stored === undefined) return [undefined, asked === undefined ? undefined : markup`<ins>${asked}</ins>`];
  if (asked === undefined) return [markup`<del>${stored}</del>`, undefined];
  if (!isText(stored) || !isText(asked)) return [markup`<del>${stored}</del>`, markup`<ins>${asked}</ins>`];
  const { start, end } = commonEnds(stored, asked);
  const cut = (text: string): readonly [string, string, string] => {
    const from = wholeCharacter(text, start);
    const to = Math.max(from, wholeCharacter(text, text.length - end));
    return [text.slice(0, from), text.slice(from, to), text.slice(to)];
  };
  const [[a, b, c], [d, e, f]] = [cut(stored), cut(asked)];
  return [
    markup`${a}${b === "" ? NOTHING : markup`<del>${b}</del>`}${c}`,
    markup`${d}${e === "" ? NOTHING : markup`<ins>${e}</ins>`}${f}`,
  ];
}

/** Of a number nobody wants to see which digits are the same. */
function isText(excerpt: string): boolean {
  return /^…?"/.test(excerpt);
}
