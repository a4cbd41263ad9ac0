/**
 * From a record of another program to entries of ours: keyed as the cache keys such a request, divided into samples as it
 * divides such an answer, and let through the same gate. So what was carried is found by the call that would be made.
 *
 * @module
 */

import { type Answer, newSample, readJson } from "../cache/answer/answer.ts";
import { Gate } from "../cache/answer/policy.ts";
import type { JsonObject } from "../cache/json.ts";
import type { IgnoreList } from "../cache/request/ignore_list.ts";
import { isKeyed, readRequest } from "../cache/request/request.ts";
import type { Scope } from "../cache/request/scope.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { NewEntry } from "../store/store.ts";
import { type Carried, type Left, left } from "./finding.ts";

/** What foreign records are read with. */
export interface ForeignSetting {
  readonly runtime: Runtime;
  /** Namespace of the requests; empty by default. */
  readonly namespace: string;
  /** What the cache ignores beyond its own list. */
  readonly ignore: IgnoreList;
}

/** One answer as a record tells it. */
export interface ForeignAnswer {
  /** In the provider's shape. */
  readonly answer: JsonObject;
  /** The model that answered, where the answer names one that is only the one asked for. */
  readonly modelAnswered?: null;
  /** In milliseconds. */
  readonly latency?: number | null;
  /** When it was stored, in milliseconds since 1970. */
  readonly created?: number | undefined;
  /** For all of its choices together. */
  readonly costMicrodollars?: number | null;
}

/** A record, understood. */
export interface ForeignRecord {
  readonly id: string;
  readonly body: JsonObject;
  readonly scope: Scope;
  readonly answers: readonly ForeignAnswer[];
  /** Until when the other program would have served it, in milliseconds since 1970; `null` for ever. */
  readonly expires?: number | null;
  /** It is one of the inputs of a request for several. */
  readonly isItem?: boolean;
}

const GATE = new Gate();

/** What of a record can be carried, and what cannot. */
export function* findingsOfRecord(record: ForeignRecord, setting: ForeignSetting): Generator<Carried | Left> {
  const { id, body, scope, answers, expires = null, isItem = false } = record;
  const { runtime, ...defaults } = setting;
  const asked = typeof body.model === "string" ? body.model : undefined;
  let request: ReturnType<typeof readRequest>;
  try {
    request = readRequest(body, scope, { ...defaults, sha256: runtime.sha256 }, { isItem });
  } catch {
    // Why would quote what was asked.
    yield left(id, "request_unsafe", "the request has no canonical JSON", asked, answers.length);
    return;
  }
  const { model } = request;
  if (!isKeyed(request)) {
    yield left(id, "request_unsafe", request.bypass, model, answers.length);
    return;
  }
  const now = runtime.clock.now();
  const entries: NewEntry[] = [];
  for (const given of answers) {
    const { answer, latency = null, created = now, costMicrodollars = null } = given;
    const stamp = { modelAsked: model, latency, created, expires: () => expires };
    const read: Answer | undefined = isItem
      ? { bills: [], samples: [newSample(answer, new TextEncoder().encode(JSON.stringify(answer)), stamp)] }
      : readJson(answer, request.shape, stamp);
    if (read === undefined || read.fault !== undefined) {
      yield left(id, "broken", read?.fault ?? "the answer is no plain JSON", model);
      continue;
    }
    for (const { bytes: _, recording: __, ...sample } of read.samples) {
      if (!GATE.admits(sample.outcome)) {
        yield left(id, "outcome", `the outcome is ${sample.outcome}`, model);
        continue;
      }
      const share = costMicrodollars === null ? null : costMicrodollars / read.samples.length;
      const modelAnswered = given.modelAnswered === null ? null : sample.modelAnswered;
      entries.push({ ...sample, modelAnswered, costMicrodollars: share });
    }
  }
  if (entries.length === 0) return;
  const isDated = answers.every(({ created }) => created !== undefined);
  yield { type: "carry", id, model, request: request.record(), entries, isDated, tags: [] };
}
