/**
 * The contract of a loaded model: what `warm/` keeps, `http/` asks and `probe/` compares. A {@link Backend} is one set
 * of base weights in memory; a {@link View} is that base alone or with one adapter. Views of one backend may be used
 * at the same time and never see each other.
 *
 * @module
 */

/** Which implementation runs a model. */
export type ModelKind = "onnx";

/**
 * What runs a model. `wasm`: the CPU. `webgpu`: a real GPU. `webgpu:software`: a GPU that the CPU plays, slower than
 * `wasm` and of use in tests alone.
 */
export type ModelDevice = "wasm" | "webgpu" | "webgpu:software";

/** A file and the content that was promised. */
export interface ContentFile {
  readonly path: string;
  /** SHA-256 of its bytes, 64 lower-case hexadecimal digits. */
  readonly sha256: string;
  /** How many bytes it has. */
  readonly size: number;
}

/** Bytes that a model takes, or will take. */
export interface ModelMemory {
  /** WASM memory, on this machine's RAM. */
  readonly wasm: number;
  /** Buffers on the GPU. */
  readonly gpu: number;
}

/** An adapter in memory. */
export interface ResidentAdapter {
  readonly name: string;
  /** Content identity of the adapter alone. */
  readonly identity: string;
  /** Bytes of its matrices. */
  readonly bytes: number;
}

/** A base model, resolved to files whose content is known. */
export interface ResolvedBase {
  readonly kind: ModelKind;
  /** The name users call it by. */
  readonly name: string;
  /** Content identity: equal exactly when the answers are. 64 lower-case hexadecimal digits. */
  readonly identity: string;
  readonly dtype: string;
  /** The device that will run it; `auto` is resolved before this. */
  readonly device: string;
  /** Files by role. */
  readonly files: {
    readonly graph: ContentFile;
    readonly config: ContentFile;
    readonly tokenizer: ContentFile;
    readonly tokenizerConfig?: ContentFile;
    readonly generationConfig?: ContentFile;
    /** Takes precedence over the template in `tokenizerConfig`. */
    readonly chatTemplate?: ContentFile;
  };
}

/** An adapter in PEFT layout, resolved to files whose content is known. */
export interface ResolvedAdapter {
  readonly name: string;
  /** Content identity of the adapter alone. */
  readonly identity: string;
  readonly files: { readonly config: ContentFile; readonly weights: ContentFile };
}

/** How an adapter is applied. */
export interface AdapterOptions {
  /** λ: 0 is the base, 1 the adapter as trained (the default), 2 twice its effect. */
  readonly scale?: number;
}

/** One set of base weights, loaded. */
export interface Backend {
  readonly base: ResolvedBase;
  /** What the model's Worker holds, last reported; nothing when it is gone. */
  readonly memory: ModelMemory;
  /** The adapters in memory, last reported. */
  readonly adapters: readonly ResidentAdapter[];
  /** Longest prompt and answer together, in tokens. */
  readonly contextLength: number;
  /** The base alone. */
  baseView(): View;
  /** The base with an adapter; its weights are read on first use and stay resident. */
  adapterView(adapter: ResolvedAdapter, options?: AdapterOptions): View;
  /** Lets go of an adapter in memory; a request that uses it next reads it again. One that is not there is no error. */
  dropAdapter(identity: string): Promise<void>;
  /** Ends the Worker; running requests fail with `worker_failed`. Never throws. Closing twice is no error. */
  close(): Promise<void>;
  /** Resolves when the Worker is gone, with the reason when it died by itself. */
  readonly closed: Promise<Error | undefined>;
}

/** A base model alone, or with one adapter. */
export interface View {
  /**
   * Generates, token by token, at the reader's pace: a reader that stops reading stops the model after a few tokens.
   * Breaking out of the loop, or aborting, ends the work.
   *
   * @throws ModelError `prompt_too_long`, `invalid_request`, `worker_failed`, `identity_changed`, `model_load_failed`
   */
  generate(request: GenerateRequest, signal?: AbortSignal): AsyncIterable<GenerateEvent>;
  /** Log-probability of `completion` after `prompt`, natural logarithm, summed and by token. */
  logprobs(prompt: Prompt, completion: string, signal?: AbortSignal): Promise<CompletionLogprobs>;
  /** Log-probability of every token of `text` after those before it. */
  rollingLogprobs(text: string, signal?: AbortSignal): Promise<RollingLogprobs>;
  /** The distribution of the token after `prompt`. */
  nextToken(prompt: Prompt, options: NextTokenOptions, signal?: AbortSignal): Promise<NextToken>;
}

/** What to continue: text, token ids, or a conversation for the model's chat template. */
export type Prompt =
  | { readonly text: string }
  | { readonly ids: readonly number[] }
  | { readonly messages: readonly ChatMessage[] };

/** One turn of a conversation. */
export interface ChatMessage {
  readonly role: string;
  readonly content: string;
}

/** What to generate, and how. */
export interface GenerateRequest {
  readonly prompt: Prompt;
  /** At most this many tokens; `undefined`: until the context is full. 0 generates nothing (for `echo`). */
  readonly maxTokens: number | undefined;
  /** 0 is greedy. */
  readonly temperature: number;
  /** Nucleus: sample among the likeliest tokens that together reach this probability, in (0, 1]. */
  readonly topP: number;
  /** Seed of the sampler, an unsigned 32-bit integer; the same seed gives the same text. */
  readonly seed: number;
  /** Texts that end the answer; they are not part of it. */
  readonly stop: readonly string[];
  /** `undefined`: no log-probabilities. Else how many alternatives to report with each token, 0 or more. */
  readonly topLogprobs: number | undefined;
  /** Report the prompt's tokens too. */
  readonly echo: boolean;
}

/** What a generation reports, in this order: one `prompt`, any number of `token`, one `end`. */
export type GenerateEvent =
  | {
    readonly type: "prompt";
    /** Tokens in the prompt. */
    readonly promptTokens: number;
    /** The prompt's tokens, when `echo` was asked for, else empty. */
    readonly tokens: readonly ScoredToken[];
    /** The prompt as text, when `echo` was asked for, else empty. */
    readonly text: string;
  }
  | {
    readonly type: "token";
    readonly token: ScoredToken;
    /** Text that is now certain: whole characters, and nothing that might become a stop text. May be empty. */
    readonly text: string;
  }
  | {
    readonly type: "end";
    readonly finishReason: "stop" | "length";
    readonly completionTokens: number;
    /** Text held back until now. */
    readonly text: string;
  };

/** A token, as it is shown. */
export interface Token {
  readonly id: number;
  /** Its own text; part of a character shows as U+FFFD. */
  readonly text: string;
  /** Its own bytes in UTF-8; tokens joined give the exact text. */
  readonly bytes: readonly number[];
}

/** A token, and how likely it was. */
export interface ScoredToken extends Token {
  /** Natural logarithm of its probability; `null` for a first token, or when none were asked for. */
  readonly logprob: number | null;
  /** The likeliest tokens at its place, likeliest first; the identical number where it is among them. */
  readonly top: readonly (Token & { readonly logprob: number })[];
}

/** Result of {@link View.logprobs}. */
export interface CompletionLogprobs {
  readonly ids: readonly number[];
  readonly logprobs: readonly number[];
  readonly total: number;
}

/** Result of {@link View.rollingLogprobs}: N tokens, N - 1 log-probabilities. */
export interface RollingLogprobs {
  readonly ids: readonly number[];
  readonly logprobs: readonly number[];
  readonly total: number;
}

/** How much of a distribution to report. */
export interface NextTokenOptions {
  /** How many of the likeliest tokens; all when larger than the vocabulary. */
  readonly topK: number;
}

/** A next-token distribution, cut to its likeliest tokens. */
export interface NextToken {
  /** Likeliest first. */
  readonly ids: readonly number[];
  readonly logprobs: readonly number[];
  readonly vocabularySize: number;
  /** Logarithm of what the rest has together; `null` when nothing was cut. */
  readonly tailLogprob: number | null;
}
