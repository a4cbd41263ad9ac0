/**
 * Ways of running models that a program brings along: each has a name, says which model a spec means, and loads it. They
 * are given in code and belong to whoever was given them. A request may name a kind, never the code behind one.
 *
 * The identity of such a base is the SHA-256 of the UTF-8 bytes of this JSON array, so that no two kinds share one,
 * whatever they call theirs:
 *
 * ```text
 * ["warmcache base of a kind",1,["kind",kind],["identity",as resolved],["dtype",…],["device",…]]
 * ```
 *
 * @module
 */

import type { Backend, ModelMemory, ResolvedAdapter, ResolvedBase } from "../model/backend.ts";
import { ModelError } from "../model/error.ts";
import { hexOf } from "../runtime/hex.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { type ResolvedModel, viewIdentity } from "./identity.ts";
import { isKind, type ModelSpec } from "./spec.ts";

/** A way of running models. */
export interface BackendKind {
  /**
   * Finds out which model a spec means now, without loading it; asked on every request. The `identity` of a base is any
   * text that is equal exactly when the answers are. For what the spec names and is not there it throws
   * {@link ModelError} `model_not_found`.
   */
  resolve(spec: ModelSpec): Promise<{ readonly base: ResolvedBase; readonly adapter?: ResolvedAdapter }>;
  /**
   * Loads a base that it has resolved. Settles soon after the signal is aborted. {@link ModelError} `identity_changed`
   * says that the base is another one by now.
   */
  load(base: ResolvedBase, signal: AbortSignal): Promise<Backend>;
  /** What a base will take before it was ever loaded; nothing when left out. */
  predict?(base: ResolvedBase): ModelMemory;
}

/** The kinds of one program, by name. */
export class Kinds {
  readonly #runtime: Pick<Runtime, "sha256">;
  readonly #kinds: ReadonlyMap<string, BackendKind>;

  /** @throws TypeError for a name that cannot be a kind's, and for `onnx`, which is one already. */
  constructor(runtime: Pick<Runtime, "sha256">, kinds: Readonly<Record<string, BackendKind>>) {
    for (const [name, kind] of Object.entries(kinds)) {
      if (!isKind(name) || name === "onnx") {
        throw new TypeError(`Cannot register a kind of backend under this name: ${JSON.stringify(name)}`);
      }
      if (typeof kind?.resolve !== "function" || typeof kind.load !== "function") {
        throw new TypeError(`Cannot register a kind of backend: ${name} has no resolve, or no load`);
      }
    }
    this.#runtime = runtime;
    this.#kinds = new Map(Object.entries(kinds));
  }

  /**
   * Resolves a spec.
   *
   * @throws ModelError `model_not_found` for a kind that nobody registered; TypeError for a base that is not of it, and
   * for an adapter that is there and was not asked for, or the other way round.
   */
  async identify(spec: ModelSpec): Promise<ResolvedModel> {
    const { base: resolved, adapter } = await this.#kind(spec.kind).resolve(spec);
    const { kind, identity, dtype, device } = resolved;
    if (kind !== spec.kind || typeof identity !== "string" || identity === "") {
      throw new TypeError(`The kind ${spec.kind} resolved ${spec.base} to a base of another kind, or without identity`);
    }
    // Else a base would be compared with itself, and found to be the same.
    if (adapter === undefined && spec.adapter !== undefined) {
      throw new TypeError(`The kind ${spec.kind} resolved ${spec.base} without the adapter ${spec.adapter}`);
    }
    if (adapter !== undefined && spec.adapter === undefined) {
      throw new TypeError(`The kind ${spec.kind} resolved ${spec.base} to one with an adapter that nobody asked for`);
    }
    const description = ["warmcache base of a kind", 1, ["kind", kind], ["identity", identity], ["dtype", dtype], [
      "device",
      device,
    ]];
    const digest = this.#runtime.sha256(new TextEncoder().encode(JSON.stringify(description)));
    const base = { ...resolved, identity: hexOf(digest) };
    const scale = adapter === undefined ? 0 : 1;
    const view = viewIdentity(this.#runtime, base, adapter, { scale });
    return { spec, base, ...(adapter === undefined ? {} : { adapter }), scale, identity: view };
  }

  /** Loads a base that {@link identify} has resolved. */
  async load(base: ResolvedBase, signal: AbortSignal): Promise<Backend> {
    return await this.#kind(base.kind).load(base, signal);
  }

  /** What a base will take. */
  predict(base: ResolvedBase): ModelMemory {
    return this.#kind(base.kind).predict?.(base) ?? { wasm: 0, gpu: 0 };
  }

  #kind(name: string): BackendKind {
    const kind = this.#kinds.get(name);
    if (kind !== undefined) return kind;
    const known = ["onnx", ...this.#kinds.keys()].join(", ");
    throw new ModelError("model_not_found", `No models of this kind are here (known: ${known}): ${name}`, {
      parameter: "kind",
    });
  }
}
