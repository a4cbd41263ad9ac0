/**
 * `/run` and `/score`: what an adapter changes, measured by a suite of probes. The contract is that of dlm-sway's
 * daemon. A probe that fails is a verdict in the answer and no error; a suite that means nothing is refused before any
 * model is loaded; a client that goes away ends the work.
 *
 * @module
 */

import type { Context } from "hono";
import { ModelError } from "../model/error.ts";
import { type ProbeReport, probeReport, type ReportFacts, reportOf } from "../probe/report.ts";
import { runSuite, type SuiteResult } from "../probe/run_suite.ts";
import { SpecError } from "../probe/spec_error.ts";
import type { ResolvedModel } from "../warm/identity.ts";
import { formatModelName, withAdapter } from "../warm/spec.ts";
import { cacheStatus } from "./cache_status.ts";
import type { CacheDirectives } from "./cache_directives.ts";
import { ApiError, invalidRequest } from "./api_error.ts";
import { toApiError } from "./errors.ts";
import { departure, underIdentity } from "./local_model.ts";
import { directivesOf } from "./local_request.ts";
import { longJson } from "./long_json.ts";
import { factsOf } from "./operations/watch_requests.ts";
import type { ServerParts } from "./parts.ts";
import { probeSubject, Tally } from "./probe_subject.ts";
import { readRequestBody } from "./request_body.ts";
import { checkSides, readRunRequest, readScoreRequest, type SuiteRequest } from "./suite_request.ts";

/** Runs a suite and answers with its report. */
export const RUN_PATH = "/run";

/** Runs a suite, or some of its probes, and answers with these alone. */
export const SCORE_PATH = "/score";

/** A suite that was run. */
interface SuiteRun {
  readonly result: SuiteResult;
  readonly base: ResolvedModel;
  readonly ft: ResolvedModel;
  readonly tally: Tally;
}

/** What both answer with, whatever else is in it. */
interface Answer {
  readonly probes: readonly ProbeReport[];
}

/** The handler of {@link RUN_PATH}. */
export function runRoute(parts: ServerParts): (context: Context) => Promise<Response> {
  return (context) =>
    answered(parts, context, readRunRequest, (request, run) => reportOf(run.result, reportFacts(parts, request, run)));
}

/** The handler of {@link SCORE_PATH}. */
export function scoreRoute(parts: ServerParts): (context: Context) => Promise<Response> {
  return (context) =>
    answered(parts, context, readScoreRequest, ({ names }, { result: { probes } }) => ({
      // Where the look at both sides failed, there is nothing else to answer with.
      probes: probes.filter(({ name, kind }) => kind === "preflight" || names.includes(name)).map(probeReport),
    }));
}

async function answered<R extends SuiteRequest>(
  parts: ServerParts,
  context: Context,
  read: (body: unknown) => R,
  answer: (request: R, run: SuiteRun) => Answer,
): Promise<Response> {
  const { activity, clock } = parts;
  const started = clock.monotonic();
  activity.request();
  const facts = factsOf(context);
  facts.provider = "local";
  const directives = directivesOf(context, parts);
  const { body } = await readRequestBody(context, parts.limits);
  const signal = departure(context.req.raw);
  try {
    const request = read(body);
    facts.model = formatModelName(request.ft);
    return await underIdentity(parts, request.ft, signal, async (ft) => {
      const run = await runOn(parts, request, ft, directives, signal);
      const status = { outcome: run.tally.misses === 0 ? "hit" : "miss" } as const;
      facts.cache = status.outcome;
      const body = { ...answer(request, run), request_seconds: (clock.monotonic() - started) / 1000 };
      return longJson(textsOf(body), { "Cache-Status": cacheStatus(status) }, clock);
    });
  } catch (error) {
    if (error instanceof SpecError) throw invalidRequest(error.message, error.path === "" ? undefined : error.path);
    if (!(error instanceof ModelError) || error.code !== "model_not_found") throw error;
    // What is named elsewhere in a request.
    const { status, type, message, code } = toApiError(error);
    throw new ApiError(status, type, message, { cause: error, param: "spec.models", code: code! });
  }
}

/** An answer as JSON, probe by probe: each may have a thousand numbers. */
function* textsOf({ probes, ...rest }: Answer & { readonly request_seconds: number }): Generator<string> {
  yield `${JSON.stringify(rest).slice(0, -1)},"probes":[`;
  for (const [index, probe] of probes.entries()) yield `${index === 0 ? "" : ","}${JSON.stringify(probe)}`;
  yield "]}";
}

async function runOn(
  parts: ServerParts,
  request: SuiteRequest,
  ft: ResolvedModel,
  directives: CacheDirectives,
  departed: AbortSignal,
): Promise<SuiteRun> {
  const { suite, seed } = request;
  const base = await parts.backends.identify(request.base);
  const [ofBase, ofFt] = [request.base, request.ft].map((spec) => JSON.stringify(withAdapter(spec, null)));
  if (ofBase === ofFt && base.base.identity !== ft.base.identity) {
    throw new ModelError("identity_changed", `The files of ${base.base.name} changed while they were looked at`);
  }
  checkSides(request.suite, base, ft);
  const tally = new Tally();
  const { isDifferential } = suite;
  const ending = new AbortController();
  const signal = AbortSignal.any([departed, ending.signal]);
  const end = (reason: unknown): void => ending.abort(reason);
  const subject = probeSubject({ parts, base, ft, isDifferential, directives, signal, end, tally });
  return { result: await runSuite(subject, suite, { clock: parts.clock, seed, signal }), base, ft, tally };
}

function reportFacts({ version }: ServerParts, { specPath }: SuiteRequest, { base, ft, tally }: SuiteRun): ReportFacts {
  const { hits, misses, passes } = tally;
  return {
    version,
    specPath,
    baseModel: base.base.name,
    adapter: ft.adapter?.name ?? "",
    identities: { base: base.identity, ft: ft.identity },
    isExact: [base, ft].every(({ base: { device } }) => device === "wasm"),
    backendStats: {
      cache_hits: hits,
      cache_misses: misses,
      hit_rate: hits + misses === 0 ? null : hits / (hits + misses),
      forward_passes: passes,
    },
  };
}
