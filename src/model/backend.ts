/**
 * The contract of a loaded model: what `warm/` keeps, `http/` asks and `probe/` compares. A {@link Backend} is one set
 * of base weights in memory; a {@link View} is that base alone or with one adapter. Views of one backend may be used
 * at the same time and never see each other.
 *
 * @module
 */

/**
 * Which implementation runs a model: `onnx` in this process's Workers, `api` behind an OpenAI-compatible endpoint,
 * `dummy` in tests, or one that a program has registered under a name of its own.
 */
export type ModelKind = "onnx" | "api" | "dummy" | (string & Record<never, never>);

/** What a model can be asked: to go on from a text, to say how likely one is, or to place it in a space of meanings. */
export type Ability = "generate" | "score" | "embed";

/**
 * What runs a model. `wasm`: the CPU. `webgpu`: a real GPU. `webgpu:software`: a GPU that the CPU plays, slower than
 * `wasm` and of use in tests alone.
 */
export type ModelDevice = "wasm" | "webgpu" | "webgpu:software";

/** What is known of a device before a model is loaded on it. */
export interface DeviceFacts {
  /** Which one. */
  readonly device: ModelDevice;
  /** Whether it computes in float16 itself; on the CPU every operation goes by way of float32. */
  readonly float16: boolean;
  /** Why `auto` is not a real GPU here, or why the GPU that was named cannot be used. */
  readonly reason?: string;
}

/** A file and the content that was promised. */
export interface ContentFile {
  /** Where it is. */
  readonly path: string;
  /** SHA-256 of its bytes, 64 lower-case hexadecimal digits. */
  readonly sha256: string;
  /** How many bytes it has. */
  readonly size: number;
}

/** Bytes that a model takes, or will take. */
export interface ModelMemory {
  /** WASM memory and what is kept beside it, on this machine's RAM. */
  readonly wasm: number;
  /** Buffers on the GPU. */
  readonly gpu: number;
}

/** An adapter in memory. */
export interface ResidentAdapter {
  /** What it is called. */
  readonly name: string;
  /** Content identity of the adapter alone. */
  readonly identity: string;
  /** Bytes of its matrices. */
  readonly bytes: number;
}

/** A base model, resolved to content. */
export interface ResolvedBase {
  /** What runs it. */
  readonly kind: ModelKind;
  /** The name users call it by. */
  readonly name: string;
  /** Content identity: equal exactly when the answers are. 64 lower-case hexadecimal digits. */
  readonly identity: string;
  /** In which numbers its weights are: `fp32`, `q4` and so on. */
  readonly dtype: string;
  /** The device that will run it; `auto` is resolved before this. */
  readonly device: string;
  /** Under whose name the response cache keeps its answers; `local` when left out. */
  readonly provider?: string;
}

/** A base model of kind `onnx`, resolved to files whose content is known. */
export interface OnnxBase extends ResolvedBase {
  /** Files. */
  readonly kind: "onnx";
  /** Which. */
  readonly files: OnnxFiles;
}

/** The files of an ONNX model in Hugging Face layout, by role. */
export interface OnnxFiles {
  /** What is computed, with its weights or with references to them. */
  readonly graph: ContentFile;
  /** Files with the graph's weights, which it refers to by the last part of their paths. */
  readonly externalData?: readonly ContentFile[];
  /** `config.json`. */
  readonly config: ContentFile;
  /** `tokenizer.json`. */
  readonly tokenizer: ContentFile;
  /** `tokenizer_config.json`. */
  readonly tokenizerConfig?: ContentFile;
  /** `generation_config.json`. */
  readonly generationConfig?: ContentFile;
  /** Takes precedence over the template in `tokenizerConfig`. */
  readonly chatTemplate?: ContentFile;
  /** Of exports by onnxruntime-genai: what their graphs' inputs and outputs are called. */
  readonly genaiConfig?: ContentFile;
  /** Of embedding models: `modules.json`, which says what follows the encoder. */
  readonly modules?: ContentFile;
  /** Of embedding models: `1_Pooling/config.json`, or what `modules.json` says in its place. */
  readonly pooling?: ContentFile;
  /** Of embedding models: `sentence_bert_config.json`, which has the longest text. */
  readonly sentenceConfig?: ContentFile;
  /** Of embedding models: `config_sentence_transformers.json`, which has the prompts put before texts. */
  readonly promptsConfig?: ContentFile;
}

/** A base model of kind `api`: whatever an OpenAI-compatible endpoint answers with under a name. */
export interface ApiBase extends ResolvedBase {
  /** An endpoint. */
  readonly kind: "api";
  /** Base URL as OpenAI's clients take it, which ends with `/v1` nearly always. */
  readonly endpoint: string;
  /** What the endpoint calls the model. */
  readonly model: string;
}

/** Whether a base is made of files, and run in this process's Workers. */
export function isOnnxBase(base: ResolvedBase): base is OnnxBase {
  return base.kind === "onnx";
}

/** An adapter in PEFT layout, resolved to files whose content is known. */
export interface ResolvedAdapter {
  /** What it is called. */
  readonly name: string;
  /** Content identity of the adapter alone. */
  readonly identity: string;
  /** `adapter_config.json` and the safetensors. */
  readonly files: { readonly config: ContentFile; readonly weights: ContentFile };
}

/** How an adapter is applied. */
export interface AdapterOptions {
  /** λ: 0 is the base, 1 the adapter as trained (the default), 2 twice its effect. */
  readonly scale?: number;
}

/** Noise in place of an adapter: what a difference has to stand out from. */
export interface NullAdapterOptions {
  /** Unsigned 32-bit integer; the same seed gives the same noise. */
  readonly seed: number;
  /** Standard deviation of the weights, both A and B; more than 0. Default: 0.02. */
  readonly initScale?: number;
  /** The standard deviation is multiplied by its square root; more than 0. Default: 1. */
  readonly rankScale?: number;
}

/** One set of base weights, loaded. */
export interface Backend {
  /** What was loaded. */
  readonly base: ResolvedBase;
  /** What it can be asked. */
  readonly abilities: ReadonlySet<Ability>;
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
  /** The base with noise of the shape of `adapter` in its place. */
  nullView(adapter: ResolvedAdapter, options: NullAdapterOptions): View;
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
  /** Many questions at once, answered in order, each as if it had been asked alone, to the bit. */
  scoreMany<Q extends ScoreQuestion>(questions: readonly Q[], signal?: AbortSignal): AsyncIterable<ScoreAnswer<Q>>;
  /**
   * Places texts in the model's space of meanings, in order, each as if it had been asked alone, to the bit.
   *
   * @throws ModelError `invalid_request` from a model that cannot, and for a text that is empty; `prompt_too_long`
   */
  embed(inputs: readonly EmbedInput[], options?: EmbedOptions, signal?: AbortSignal): AsyncIterable<Embedding>;
}

/** One of the questions of {@link View.scoreMany}, and of its methods for a single one. */
export type ScoreQuestion =
  | { readonly kind: "logprobs"; readonly prompt: Prompt; readonly completion: string }
  | { readonly kind: "rollingLogprobs"; readonly text: string }
  | { readonly kind: "nextToken"; readonly prompt: Prompt; readonly options: NextTokenOptions };

/** What the answer to a {@link ScoreQuestion} is. */
export type ScoreAnswer<Q extends ScoreQuestion> = {
  logprobs: CompletionLogprobs;
  rollingLogprobs: RollingLogprobs;
  nextToken: NextToken;
}[Q["kind"]];

/** A text to embed, or its token ids, special tokens included. */
export type EmbedInput = string | readonly number[];

/** What embeddings are to be like. */
export interface EmbedOptions {
  /**
   * Keep only so many numbers of each vector, the first ones; all when left out. Only models that were trained for it
   * (Matryoshka representation learning, https://arxiv.org/abs/2205.13147) can give fewer than they have.
   */
  readonly dimensions?: number | undefined;
}

/** Where a text lies in a model's space of meanings. */
export interface Embedding {
  /** One number per dimension; of length 1 where the model normalises. */
  readonly vector: Float32Array;
  /** Tokens the model has read, special tokens included. */
  readonly tokens: number;
}

/** What to continue: text, token ids, or a conversation for the model's chat template. */
export type Prompt =
  | { readonly text: string }
  | { readonly ids: readonly number[] }
  | { readonly messages: readonly ChatMessage[]; readonly template?: TemplateOptions | undefined };

/** One turn of a conversation. The model's chat template is given it as it is, further fields included. */
export interface ChatMessage {
  /** Who speaks: `system`, `user`, `assistant`, or whatever the template knows. */
  readonly role: string;
  /** `null`, or left out, where a turn has something else: calls of tools, say. */
  readonly content?: string | null;
  /** Whatever else the template looks at. */
  readonly [field: string]: unknown;
}

/** How a conversation becomes text. */
export interface TemplateOptions {
  /** Whether the text ends where the model's next turn begins. Default: true, unless the last turn is to go on. */
  readonly addGenerationPrompt?: boolean | undefined;
  /** Whether the answer goes on with the last message, which then has no end. Default: false. */
  readonly continueFinalMessage?: boolean | undefined;
  /** Further variables of the template, `enable_thinking` for one. */
  readonly variables?: Readonly<Record<string, unknown>> | undefined;
}

/** What to generate, and how. */
export interface GenerateRequest {
  /** What to go on from. */
  readonly prompt: Prompt;
  /** At most this many tokens; `undefined`: until the context is full. 0 generates nothing (for `echo`). */
  readonly maxTokens: number | undefined;
  /** 0 is greedy. Where this and what follows it is `undefined`, the model's generation config speaks, if it does. */
  readonly temperature?: number | undefined;
  /** Nucleus: sample among the likeliest tokens that together reach this probability, in (0, 1]; 1 is off. */
  readonly topP?: number | undefined;
  /** Sample among so many of the likeliest tokens; 0 is off. */
  readonly topK?: number | undefined;
  /** Sample among tokens at least this many times as likely as the likeliest, in [0, 1]; 0 is off. */
  readonly minP?: number | undefined;
  /** Divides positive and multiplies negative logits of tokens in prompt and answer; more than 0, 1 is off. */
  readonly repetitionPenalty?: number | undefined;
  /** Taken from the logits of tokens that the answer has already, in [-2, 2]; 0 is off. As OpenAI defines it. */
  readonly presencePenalty?: number | undefined;
  /** Taken from them once for each time that it has them, in [-2, 2]; 0 is off. As OpenAI defines it. */
  readonly frequencyPenalty?: number | undefined;
  /** Added to the logits of tokens, by id, in [-100, 100]. */
  readonly logitBias?: readonly (readonly [id: number, bias: number])[] | undefined;
  /** Nothing ends the answer before it has so many tokens. */
  readonly minTokens?: number | undefined;
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
    /** Tokens in the prompt; `null` from an endpoint that says it at the end only. */
    readonly promptTokens: number | null;
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
    /** Tokens in the prompt, where that was not known when the generation began. */
    readonly promptTokens?: number;
    /** Text held back until now. */
    readonly text: string;
  };

/** A token, as it is shown. */
export interface Token {
  /** Its number in the vocabulary. */
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
  /** The completion's tokens. */
  readonly ids: readonly number[];
  /** Of each of them, natural logarithms. */
  readonly logprobs: readonly number[];
  /** Their sum. */
  readonly total: number;
}

/** Result of {@link View.rollingLogprobs}: N tokens, N - 1 log-probabilities. */
export interface RollingLogprobs {
  /** The text's tokens. */
  readonly ids: readonly number[];
  /** Of each after the first, natural logarithms. */
  readonly logprobs: readonly number[];
  /** Their sum. */
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
  /** Of each of them, natural logarithms. */
  readonly logprobs: readonly number[];
  /** How many tokens there are; `null` from an endpoint, none of which says so. */
  readonly vocabularySize: number | null;
  /**
   * Logarithm of what the rest has together; `null` when nothing was cut. Never `null` where the vocabulary is unknown:
   * there nobody can tell that nothing was.
   */
  readonly tailLogprob: number | null;
}
