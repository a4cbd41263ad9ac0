/**
 * What a caller asks for: a model by name, before anybody has looked whether its files are there. Names come from
 * requests and become paths, so the one grammar that makes this safe stands here.
 *
 * @module
 */

import type { ModelDevice, ModelKind } from "../model/backend.ts";
import { ModelError } from "../model/error.ts";
import { refuseUnknownOptions } from "../runtime/options.ts";

/** A base by name, and which of its adapters, if any. */
export interface ModelName {
  /** `name` or `organisation/name`. */
  readonly base: string;
  readonly adapter?: string;
}

/** A model as it was asked for. Frozen. */
export interface ModelSpec extends ModelName {
  readonly kind: ModelKind;
  readonly dtype: "fp32";
  /** `auto` is a real GPU where the machine has one, else `wasm`. */
  readonly device: "auto" | ModelDevice;
}

/** What {@link modelSpec} takes: a name, and how to run it where the defaults will not do. */
export interface ModelSpecOptions extends ModelName {
  /** `onnx` when left out. */
  readonly kind?: ModelKind;
  /** `fp32` when left out. */
  readonly dtype?: ModelSpec["dtype"];
  /** `auto` when left out. */
  readonly device?: ModelSpec["device"];
}

const DEVICES: readonly ModelSpec["device"][] = ["auto", "wasm", "webgpu", "webgpu:software"];

/** No separator, no leading dot: a segment can name nothing but a child of the folder it is looked up in. */
const SEGMENT = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,95}$/;

/** Whether `text` can name a base: one segment, or two with a `/` between. */
export function isBaseName(text: string): boolean {
  const segments = text.split("/");
  return segments.length <= 2 && segments.every((segment) => SEGMENT.test(segment));
}

/** Whether `text` can name an adapter: one segment. */
export function isAdapterName(text: string): boolean {
  return SEGMENT.test(text);
}

/**
 * Reads a model's name as requests write it: `base`, `base+adapter`, `organisation/base+adapter`.
 *
 * @throws ModelError `model_not_found`: nothing can have such a name.
 */
export function parseModelName(name: string): ModelSpec {
  const [base = "", adapter, ...rest] = name.split("+");
  if (rest.length > 0) throw unnameable(name);
  return modelSpec(adapter === undefined ? { base } : { base, adapter });
}

/** The name that {@link parseModelName} reads. */
export function formatModelName({ base, adapter }: ModelName): string {
  return adapter === undefined ? base : `${base}+${adapter}`;
}

/**
 * Checks a name's parts, also those that did not come through {@link parseModelName}.
 *
 * @throws ModelError `model_not_found`: nothing can have such a name.
 */
export function checkName(name: ModelName): void {
  const sound = isBaseName(name.base) && (name.adapter === undefined || isAdapterName(name.adapter));
  if (!sound) throw unnameable(formatModelName(name));
}

/**
 * Completes a name to a spec.
 *
 * @throws TypeError for an unknown option or value.
 * @throws ModelError `model_not_found`: nothing can have such a name.
 */
export function modelSpec(options: ModelSpecOptions): ModelSpec {
  const { kind = "onnx", base, adapter, dtype = "fp32", device = "auto" } = options;
  refuseUnknownOptions("name a model", options, ["kind", "base", "adapter", "dtype", "device"]);
  if (kind !== "onnx") throw new TypeError(`Cannot name a model: kind is not onnx: ${kind}`);
  if (dtype !== "fp32") throw new TypeError(`Cannot name a model: dtype is not fp32: ${dtype}`);
  if (!DEVICES.includes(device)) {
    throw new TypeError(`Cannot name a model: device is not one of ${DEVICES.join(", ")}: ${device}`);
  }
  const name = adapter === undefined ? { base } : { base, adapter };
  checkName(name);
  return Object.freeze({ kind, ...name, dtype, device });
}

/**
 * The same spec with another adapter, or with none.
 *
 * @throws ModelError `model_not_found`: no adapter can have such a name.
 */
export function withAdapter({ kind, base, dtype, device }: ModelSpec, adapter: string | null): ModelSpec {
  return modelSpec({ kind, base, dtype, device, ...(adapter === null ? {} : { adapter }) });
}

function unnameable(received: string): ModelError {
  return new ModelError(
    "model_not_found",
    `Cannot name a model so: expected base or base+adapter, of letters, digits, ".", "_" and "-": ${
      JSON.stringify(received)
    }`,
    { parameter: "model" },
  );
}
