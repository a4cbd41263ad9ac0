/**
 * What `adapter_config.json` says of an adapter: whether it is of a kind that can be applied, and by what its matrices
 * are multiplied. The settings are those of PEFT's `LoraConfig`
 * (https://huggingface.co/docs/peft/package_reference/lora).
 *
 * @module
 */

import type { JsonObject } from "../files/model_files.ts";

/** Settings that change what the tensors mean, beyond A, B and a scale. */
const UNSUPPORTED_WHEN_SET = [
  "use_dora",
  "use_qalora",
  "use_bdlora",
  "lora_bias",
  "modules_to_save",
  "layer_replication",
  "target_parameters",
  "trainable_token_indices",
  "alora_invocation_tokens",
  "arrow_config",
];

/**
 * Initialisations after which the base's own weights are the ones to use; PiSSA, OLoRA, LoftQ and CorDA change them.
 */
const BASE_KEEPING_INITIALISATIONS: readonly unknown[] = [
  undefined,
  null,
  true,
  false,
  "gaussian",
  "eva",
  "orthogonal",
];

/**
 * By module and rank of its tensors, what B is multiplied by.
 *
 * @throws Error for a rank that is not the one that was configured.
 */
export type Scales = (module: string, rank: number) => number;

/**
 * By module and rank, what B is multiplied by: alpha / r, or alpha / sqrt(r) with rsLoRA
 * (https://arxiv.org/abs/2312.03732).
 *
 * @throws Error naming the first setting that is not supported, or broken.
 */
export function readScales(config: JsonObject): Scales {
  checkSupported(config);
  const rankOf = readPatterns(config, "r", "rank_pattern");
  const alphaOf = readPatterns(config, "lora_alpha", "alpha_pattern");
  return (module, rank) => {
    const configured = rankOf(module);
    if (configured !== rank) throw new Error(`${module} has tensors of rank ${rank}: its r is ${configured}`);
    return alphaOf(module) / (config.use_rslora === true ? Math.sqrt(rank) : rank);
  };
}

function checkSupported(config: JsonObject): void {
  if (config.peft_type !== "LORA") throw new Error(`peft_type is not LORA: ${JSON.stringify(config.peft_type)}`);
  for (const name of UNSUPPORTED_WHEN_SET) {
    if (isSet(config[name])) throw new Error(`${name} is not supported: ${JSON.stringify(config[name])}`);
  }
  if ((config.bias ?? "none") !== "none") throw new Error(`bias is not supported: ${JSON.stringify(config.bias)}`);
  if (!BASE_KEEPING_INITIALISATIONS.includes(config.init_lora_weights)) {
    throw new Error(`init_lora_weights is not supported: ${JSON.stringify(config.init_lora_weights)}`);
  }
}

function isSet(value: unknown): boolean {
  if (typeof value === "object" && value !== null) return Object.keys(value).length > 0;
  return Boolean(value);
}

/** A number by module: that of the first pattern that the module's path ends in, else the one for all. */
function readPatterns(config: JsonObject, name: string, patternName: string): (module: string) => number {
  const forAll = readNumber(name, config[name]);
  const patterns = Object.entries(config[patternName] ?? {}).map(([pattern, value]) => {
    const what = `${patternName} of ${JSON.stringify(pattern)}`;
    return [readPattern(what, pattern), readNumber(what, value)] as const;
  });
  return (module) => patterns.find(([pattern]) => pattern.test(module))?.[1] ?? forAll;
}

function readNumber(name: string, value: unknown): number {
  if (typeof value === "number" && Number.isFinite(value)) return value;
  throw new Error(`${name} is not a number: ${JSON.stringify(value)}`);
}

/** As PEFT matches: Python's regular expression for the path, or for its end after a dot. */
function readPattern(what: string, pattern: string): RegExp {
  try {
    return new RegExp(`^(?:.*\\.)?(?:${pattern.replaceAll("(?P<", "(?<")})$`);
  } catch (error) {
    throw new Error(`${what} is no regular expression: ${(error as Error).message}`, { cause: error });
  }
}
