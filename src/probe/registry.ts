/**
 * The kinds of probes there are, by the names that suites use.
 *
 * @module
 */

import { adapterAblation } from "./kinds/adapter_ablation.ts";
import { adapterRevert } from "./kinds/adapter_revert.ts";
import { deltaKl } from "./kinds/delta_kl.ts";
import { externalPerplexity } from "./kinds/external_perplexity.ts";
import { nullAdapter } from "./kinds/null_adapter.ts";
import { preferenceFlip } from "./kinds/preference_flip.ts";
import type { ProbeKind } from "./probe.ts";

/** Every kind, by name. */
export const PROBE_KINDS: ReadonlyMap<string, ProbeKind> = new Map(
  [nullAdapter, deltaKl, adapterRevert, preferenceFlip, externalPerplexity, adapterAblation].map((kind) =>
    [kind.kind, kind] as const
  ),
);
