/**
 * The AI SDK's models and middlewares, version 4 of their interface, as far as they are looked at here. These are shapes,
 * not the SDK's own types: nothing of it is loaded, and a later release that only adds to them still fits.
 *
 * @module
 */

/** What every model says of itself. */
export interface ModelName {
  /** Which version of the SDK's interface it is of. */
  readonly specificationVersion: string;
  /** The kind of interface it speaks, and whose: `openai.chat`. */
  readonly provider: string;
  /** The provider's name of it. */
  readonly modelId: string;
}

/** What every model is called with. */
export interface CallParams {
  /** Ends the call. */
  readonly abortSignal?: AbortSignal | undefined;
  /** Sent along; they say who asks. */
  readonly headers?: Record<string, string | undefined> | undefined;
  /** What is for one provider alone. What is for the cache stands under `warmcache`. */
  readonly providerOptions?: Record<string, object> | undefined;
}

/** What models tell of the response to a call. */
export interface ModelResponse {
  /** Headers of HTTP. */
  readonly headers?: Record<string, string>;
  /** The response as it came. */
  readonly body?: unknown;
}

/** A language model's answer. */
export interface GenerateResult {
  /** What was sent. */
  readonly request?: object;
  /** What came back, besides the answer. */
  readonly response?: ModelResponse;
}

/** A language model's stream. */
export interface StreamResult {
  /** The parts. */
  // deno-lint-ignore no-explicit-any
  readonly stream: ReadableStream<any>;
  /** What was sent. */
  readonly request?: object;
  /** What came back, besides the stream. */
  readonly response?: ModelResponse;
}

/** An embedding model's answer. */
export interface EmbedResult {
  /** A vector for each text, in their order. */
  readonly embeddings: number[][];
  /** What was billed; absent where the provider does not say. */
  readonly usage?: {
    /** Tokens of all the texts. */
    readonly tokens: number;
  };
  /** What came back, besides the vectors. */
  readonly response?: ModelResponse;
  /** What the model could not do of what was asked. */
  readonly warnings: readonly unknown[];
}

/** A middleware for `wrapLanguageModel`. */
export interface LanguageModelCache {
  /** The interface that it speaks. */
  readonly specificationVersion: "v4";
  /** Answers a call that wants all at once. */
  wrapGenerate<P extends CallParams, R extends GenerateResult>(call: {
    readonly params: P;
    readonly model: ModelName & { doGenerate(params: P): PromiseLike<R> };
  }): Promise<R>;
  /** Answers a call that wants a stream. */
  wrapStream<P extends CallParams, R extends StreamResult>(call: {
    readonly params: P;
    readonly model: ModelName & { doStream(params: P): PromiseLike<R> };
  }): Promise<R>;
}

/** A middleware for `wrapEmbeddingModel`. */
export interface EmbeddingModelCache {
  /** The interface that it speaks. */
  readonly specificationVersion: "v4";
  /** Answers a call, text by text. */
  wrapEmbed<P extends CallParams & { readonly values: string[] }, R extends EmbedResult>(call: {
    readonly params: P;
    readonly model: ModelName & { doEmbed(params: P): PromiseLike<R> };
  }): Promise<R>;
}
