/**
 * Runs a suite: a look at both sides, then probe after probe in the order of the suite, since noise has to be measured
 * before what is compared with it. A probe that fails is a finding; the others still run.
 *
 * @module
 */

import { refuseUnknownOptions } from "../runtime/options.ts";
import type { Clock, Milliseconds } from "../runtime/runtime.ts";
import type { Baseline } from "./baseline.ts";
import { rethrowEnding } from "./endings.ts";
import { preflight } from "./preflight.ts";
import type { Category, Finding, Probe, ProbeContext } from "./probe.ts";
import { type Score, scoreOf } from "./score.ts";
import { sound } from "./sound.ts";
import type { Subject } from "./subject.ts";
import type { Suite } from "./suite.ts";

/** How to run. */
export interface RunSuiteOptions {
  readonly clock: Clock;
  /** In place of the suite's own seed. */
  readonly seed?: number | undefined;
  /** Ends the run. */
  readonly signal?: AbortSignal;
  /** Hears how far it is. */
  readonly onProgress?: (progress: SuiteProgress) => void;
}

/** How far a suite is. */
export interface SuiteProgress {
  /** What begins now; `undefined`: the look at both sides. */
  readonly probe: string | undefined;
  /** How many probes are done. */
  readonly done: number;
  /** How many there are. */
  readonly of: number;
}

/** What a probe came to, and for which entry of the suite. */
export interface ProbeResult extends Finding {
  /** Unique in its suite. */
  readonly name: string;
  /** Which kind of probe. */
  readonly kind: string;
  /** What it is about. */
  readonly category: Category;
  /** Its weight among the probes of its category. */
  readonly weight: number;
  /** How long it took. */
  readonly duration: Milliseconds;
}

/** What a suite came to. */
export interface SuiteResult {
  /** Milliseconds since 1970. */
  readonly startedAt: Milliseconds;
  /** Milliseconds since 1970. */
  readonly finishedAt: Milliseconds;
  /** How long it took. */
  readonly duration: Milliseconds;
  /** What all chance came from. */
  readonly seed: number;
  /** The suite in one number, and what that is made of. */
  readonly score: Score;
  /** What noise came to, by the name of the probe it was measured for. */
  readonly baselines: ReadonlyMap<string, readonly Baseline[]>;
  /** In the order of the suite. */
  readonly probes: readonly ProbeResult[];
}

/** For how long calculations may keep everybody else waiting. */
const TURN: Milliseconds = 5;

/**
 * Runs a suite. The same suite, seed and models give the same result but for its times.
 *
 * @throws SpecError when the subject lacks what a probe names, before it is asked anything; the signal's reason;
 * ModelError when a side cannot be loaded, or changes under way.
 */
export async function runSuite(subject: Subject, suite: Suite, options: RunSuiteOptions): Promise<SuiteResult> {
  refuseUnknownOptions("run a suite", options, ["clock", "seed", "signal", "onProgress"]);
  const { clock, seed = suite.seed, signal, onProgress = () => {} } = options;
  if (seed >>> 0 !== seed) throw new RangeError(`Cannot run a suite: seed is not an unsigned 32-bit integer: ${seed}`);
  const { probes } = suite;
  const [startedAt, started] = [clock.now(), clock.monotonic()];
  for (const probe of probes) if (probe.enabled) await probe.prepare(subject);

  const baselines = new Map<string, readonly Baseline[]>();
  const results: ProbeResult[] = [];
  const measure = async (probe: Omit<ProbeResult, keyof Finding | "duration">, run: () => Promise<Finding>) => {
    onProgress({
      probe: probe.name === PREFLIGHT.name ? undefined : probe.name,
      done: results.length,
      of: probes.length,
    });
    const begun = clock.monotonic();
    const finding = sound(await run());
    const { name, kind, category, weight } = probe;
    return { ...finding, name, kind, category, weight, duration: clock.monotonic() - begun };
  };

  const look = await measure(PREFLIGHT, async () => {
    const problem = await preflight(subject, signal);
    if (problem === undefined) return { verdict: "pass", score: null, message: "both sides answer" };
    const message = `the answers of a side cannot be compared, so no probe was run: ${problem}`;
    return { verdict: "error", score: null, message, evidence: { preflight_reason: problem } };
  });
  if (look.verdict === "error") results.push(look);
  else {
    const context = { subject, seed, topK: suite.topK, signal, pause: pauses(clock, signal) };
    for (const [index, probe] of probes.entries()) {
      const later = probes.slice(index + 1);
      const own = baselines.get(probe.name) ?? [];
      const result = await measure(probe, () => findingOf(probe, { ...context, later, baselines: own }));
      for (const [name, measured] of result.baselines ?? []) baselines.set(name, measured);
      results.push(result);
    }
  }
  return {
    startedAt,
    finishedAt: clock.now(),
    duration: clock.monotonic() - started,
    seed,
    score: scoreOf(results, suite.weights),
    baselines,
    probes: results,
  };
}

/** The look at both sides, as a result when it fails. */
const PREFLIGHT = { name: "__preflight__", kind: "preflight", category: "baseline", weight: 0 } as const;

async function findingOf(probe: Probe, context: ProbeContext): Promise<Finding> {
  context.signal?.throwIfAborted();
  if (!probe.enabled) return { verdict: "skip", score: null, message: "it is switched off in the suite" };
  try {
    return await probe.run(context);
  } catch (error) {
    rethrowEnding(error, context.signal);
    const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    return { verdict: "error", score: null, message };
  }
}

/** Gives others their turn when enough time has passed since the last time. */
function pauses(clock: Clock, signal: AbortSignal | undefined): () => Promise<void> {
  let turn = clock.monotonic();
  return async () => {
    signal?.throwIfAborted();
    if (clock.monotonic() - turn < TURN) return;
    await new Promise<void>((resolve) => clock.afterTurn(resolve));
    turn = clock.monotonic();
  };
}
