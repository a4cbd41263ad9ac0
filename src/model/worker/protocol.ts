/**
 * What a backend and its Worker say to each other. Every request is one call: the Worker answers with values at the
 * pace of the caller's credit, then an end or an error.
 *
 * @module
 */

import type {
  Ability,
  DeviceFacts,
  Embedding,
  EmbedInput,
  EmbedOptions,
  GenerateEvent,
  GenerateRequest,
  ModelMemory,
  NullAdapterOptions,
  OnnxBase,
  ResidentAdapter,
  ResolvedAdapter,
  ScoreAnswer,
  ScoreQuestion,
} from "../backend.ts";
import { ModelError, type ModelErrorCode } from "../error.ts";
import type { GpuKind } from "./gpu.ts";

/** How many values a Worker may send that nobody has taken yet. */
export const WINDOW = 8;

/** An adapter and its λ, or noise of its shape. */
export interface AppliedAdapter {
  readonly adapter: ResolvedAdapter;
  readonly as: { readonly scale: number } | { readonly noise: NullAdapterOptions };
}

/** Which view of the base a task is for: alone, or with an adapter. */
interface ForView {
  readonly applied: AppliedAdapter | undefined;
}

/** What a Worker can be asked. The first task of all is to load. */
export type Task = LoadTask | DeviceTask | DropTask | ViewTask;

/** Open a GPU and say what it can do. Nothing else is asked of that Worker. */
export interface DeviceTask {
  readonly kind: "device";
  readonly gpu: GpuKind;
}

/** Let go of an adapter. */
export interface DropTask {
  readonly kind: "drop";
  readonly identity: string;
}

/** Load a base. */
export interface LoadTask {
  readonly kind: "load";
  readonly base: OnnxBase;
  readonly knownAdapterWeights: readonly string[];
}

/** Ask a view of the loaded base. */
export type ViewTask =
  & ForView
  & (
    | { readonly kind: "generate"; readonly request: GenerateRequest }
    | { readonly kind: "score"; readonly questions: readonly ScoreQuestion[] }
    | { readonly kind: "embed"; readonly inputs: readonly EmbedInput[]; readonly options: EmbedOptions }
  );

/** What each value of the answer to a task is. */
export type ValueOf<T extends Task> = {
  load: Loaded;
  device: Pick<DeviceFacts, "float16">;
  drop: undefined;
  generate: GenerateEvent;
  score: ScoreAnswer<ScoreQuestion>;
  embed: Embedding;
}[T["kind"]];

/** What is known of a model once it is loaded. */
export interface Loaded {
  readonly contextLength: number;
  readonly abilities: ReadonlySet<Ability>;
}

/** To the Worker. */
export type ToWorker =
  | { readonly type: "start"; readonly call: number; readonly task: Task }
  | { readonly type: "credit"; readonly call: number; readonly count: number }
  | { readonly type: "cancel"; readonly call: number }
  | { readonly type: "ping" };

/** From the Worker: part of a call's answer, and what the Worker holds. */
export type FromWorker = { readonly call: number } & Holding & Answer;

/** What a Worker holds. */
export interface Holding {
  readonly memory: ModelMemory;
  readonly adapters: readonly ResidentAdapter[];
}

/** Part of a call's answer. */
export type Answer =
  | { readonly type: "value"; readonly value: unknown }
  | { readonly type: "end" }
  /** To a ping, which belongs to no call: it can still listen, and is busy in onnxruntime for the so-many-th time. */
  | { readonly type: "pong"; readonly run: number | undefined }
  | { readonly type: "error"; readonly error: ErrorData };

/** A {@link ModelError} as data. */
export interface ErrorData {
  readonly code: ModelErrorCode;
  readonly message: string;
  readonly parameter: string | undefined;
  readonly permanent: boolean;
}

/** An error as data. */
export function errorToData({ code, message, parameter, permanent }: ModelError): ErrorData {
  return { code, message, parameter, permanent };
}

/** The error that was sent as data. */
export function errorFromData({ code, message, parameter, permanent }: ErrorData): ModelError {
  return new ModelError(code, message, { permanent, ...(parameter !== undefined && { parameter }) });
}
