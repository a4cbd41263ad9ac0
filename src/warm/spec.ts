/**
 * What a caller asks for: a model by name, before anybody has looked whether its files are there. Names come from
 * requests and become paths, so the one grammar that makes this safe stands here.
 *
 * @module
 */

import type { ModelDevice, ModelKind } from "../model/backend.ts";
import { ModelError } from "../model/error.ts";
import { refuseUnknownOptions } from "../runtime/options.ts";
import { type Dtype, DTYPES, isDtype } from "./dtype.ts";

/** A base by name, and which of its adapters, if any. */
export interface ModelName {
  /** `name` or `organisation/name`; `@revision` after it names a branch, tag or commit in the hub's cache. */
  readonly base: string;
  /** Which of its exports; `auto` when left out. */
  readonly dtype?: "auto" | Dtype;
  /** The name of one that lies beside the base, or one like a base's own of one that lies elsewhere. */
  readonly adapter?: string;
}

/** A model as it was asked for. Frozen. */
export interface ModelSpec extends ModelName {
  /** What runs it. */
  readonly kind: ModelKind;
  /** `auto` is the export that serves the device best among those that are there. */
  readonly dtype: "auto" | Dtype;
  /** `auto` is a real GPU where the machine has one, else `wasm`. */
  readonly device: "auto" | ModelDevice;
  /** Of kind `api`: the name or the URL of the endpoint that answers for the model. */
  readonly endpoint?: string;
  /** Of kinds other than `onnx`: which version of the model, in words of the caller's or of the kind's. */
  readonly revision?: string;
}

/** What {@link modelSpec} takes: a name, and how to run it where the defaults will not do. */
export interface ModelSpecOptions extends ModelName {
  /** `onnx` when left out. */
  readonly kind?: ModelKind;
  /** `auto` when left out. */
  readonly device?: ModelSpec["device"];
  /** Of kind `api`: the name or the URL of the endpoint that answers for the model. */
  readonly endpoint?: string;
  /** Of kinds other than `onnx`: which version of the model. */
  readonly revision?: string;
}

const DEVICES: readonly ModelSpec["device"][] = ["auto", "wasm", "webgpu", "webgpu:software"];

/** Of all ways of running a model, registered ones included. */
const KIND = /^[a-z][a-z0-9_-]{0,31}$/;

/** What an endpoint may call a model; it becomes no path here. */
// deno-lint-ignore no-control-regex -- these are what is kept out
const MODEL_AT_ENDPOINT = /^[^\x00-\x20\x7f](?:[^\x00-\x1f\x7f]{0,254}[^\x00-\x20\x7f])?$/;

/** No separator, no leading dot: a segment can name nothing but a child of the folder it is looked up in. */
const SEGMENT = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,95}$/;

/**
 * Whether `text` can name a base or an adapter: one segment, or two with a `/` between, and a revision after an `@`.
 */
export function isName(text: string): boolean {
  const [path = "", revision, ...rest] = text.split("@");
  const segments = path.split("/");
  return rest.length === 0 && segments.length <= 2 && segments.every((segment) => SEGMENT.test(segment)) &&
    (revision === undefined || SEGMENT.test(revision));
}

/** Whether `text` can name a way of running models. */
export function isKind(text: string): boolean {
  return KIND.test(text);
}

/**
 * Reads a model's name as requests write it: `base[:dtype][+adapter]`, such as `kjv-tiny`, `kjv-tiny:q4+fortunes` or
 * `organisation/base@revision+organisation/adapter`.
 *
 * @throws ModelError `model_not_found`: nothing can have such a name.
 */
export function parseModelName(name: string): ModelSpec {
  const [model = "", adapter, ...adapters] = name.split("+");
  const [base = "", dtype, ...dtypes] = model.split(":");
  if (adapters.length > 0 || dtypes.length > 0) throw unnameable(name);
  if (dtype !== undefined && !isDtype(dtype)) throw unnameable(name);
  try {
    return modelSpec({
      base,
      ...(dtype === undefined ? {} : { dtype }),
      ...(adapter === undefined ? {} : { adapter }),
    });
  } catch {
    throw unnameable(name);
  }
}

/** The name that {@link parseModelName} reads. */
export function formatModelName({ base, dtype = "auto", adapter }: ModelName): string {
  return `${base}${dtype === "auto" ? "" : `:${dtype}`}${adapter === undefined ? "" : `+${adapter}`}`;
}

/**
 * Checks a name's parts, also those that did not come through {@link parseModelName}.
 *
 * @throws ModelError `model_not_found`: nothing can have such a name.
 */
export function checkName(name: ModelName): void {
  const sound = isName(name.base) && (name.adapter === undefined || isName(name.adapter));
  if (!sound) throw unnameable(formatModelName(name));
}

/**
 * Completes a name to a spec.
 *
 * @throws TypeError for an unknown option or value.
 * @throws ModelError `model_not_found`: nothing can have such a name.
 */
export function modelSpec(options: ModelSpecOptions): ModelSpec {
  const { kind = "onnx", base, adapter, dtype = "auto", device = "auto", endpoint, revision } = options;
  refuseUnknownOptions("name a model", options, [
    "kind",
    "base",
    "adapter",
    "dtype",
    "device",
    "endpoint",
    "revision",
  ]);
  if (!isKind(kind)) throw new TypeError(`Cannot name a model: kind is not a word: ${JSON.stringify(kind)}`);
  const oddity = oddityOf({ kind, adapter, dtype, device, endpoint, revision });
  if (oddity !== undefined) throw new TypeError(`Cannot name a model: ${oddity}`);
  if (dtype !== "auto" && !isDtype(dtype)) {
    throw new TypeError(`Cannot name a model: dtype is not one of auto, ${DTYPES.join(", ")}: ${dtype}`);
  }
  if (!DEVICES.includes(device)) {
    throw new TypeError(`Cannot name a model: device is not one of ${DEVICES.join(", ")}: ${device}`);
  }
  const name = adapter === undefined ? { base } : { base, adapter };
  if (kind !== "api") checkName(name);
  else if (!MODEL_AT_ENDPOINT.test(base)) {
    const message = `No endpoint can have a model of this name: ${JSON.stringify(base)}`;
    throw new ModelError("model_not_found", message, { parameter: "model" });
  }
  return Object.freeze({
    kind,
    ...name,
    dtype,
    device,
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(revision === undefined ? {} : { revision }),
  });
}

/** What was said of a model that its kind has no use for: heard by nobody, it would be taken for granted. */
function oddityOf(
  { kind, adapter, dtype, device, endpoint, revision }: Partial<
    { [Field in keyof ModelSpec]: ModelSpec[Field] | undefined }
  >,
): string | undefined {
  if (kind !== "api") {
    if (endpoint !== undefined) return `only a model of kind api has an endpoint: ${endpoint}`;
    if (kind === "onnx" && revision !== undefined) {
      return `a revision of its stands in its name, base@revision: ${revision}`;
    }
    return undefined;
  }
  if (adapter !== undefined) return `at an endpoint an adapter has a name of its own, or an endpoint: ${adapter}`;
  if (dtype !== "auto" || device !== "auto") return `its endpoint decides over dtype and device: ${dtype}, ${device}`;
  return undefined;
}

/**
 * The same spec with another adapter, or with none.
 *
 * @throws ModelError `model_not_found`: no adapter can have such a name.
 */
export function withAdapter({ adapter: _, ...spec }: ModelSpec, adapter: string | null): ModelSpec {
  return modelSpec({ ...spec, ...(adapter === null ? {} : { adapter }) });
}

function unnameable(received: string): ModelError {
  const message = `Cannot name a model so: expected base[:dtype][+adapter], of letters, digits, ".", "_" and "-", ` +
    `where dtype is one of ${DTYPES.join(", ")}: ${JSON.stringify(received)}`;
  return new ModelError("model_not_found", message, { parameter: "model" });
}
