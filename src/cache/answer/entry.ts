/**
 * What a caller gets out of the cache: one answer, put together from as many samples as were asked for, and not parsed
 * until somebody wants it parsed.
 *
 * @module
 */

import type { Clock } from "../../runtime/runtime.ts";
import type { EntryFields, Outcome } from "../../store/store.ts";
import { decodeText, encodeText, type JsonObject } from "../json.ts";
import { worstOutcome } from "./outcome.ts";
import { joinAnswers } from "./samples.ts";

/** One sample of an answer: what is known of it, and its bytes when asked for. */
export interface Sample extends EntryFields {
  /** @throws CacheError `corrupt` when a stored row turns out not to decompress. */
  bytes(): Uint8Array;
  /**
   * Does a little at a time what {@link bytes} would do at once, where that takes long.
   *
   * @throws CacheError `corrupt` as {@link bytes} does.
   */
  prepare?(clock: Clock): Promise<void>;
  /** As {@link ../../store/store.ts StoredEntry.read}, where {@link bytes} would make a copy. */
  read?<T>(use: (bytes: Uint8Array) => T): T;
  /** The stream that it was recorded from, as it is stored; {@link bytes} is what that comes to as JSON. */
  readonly recording?: { readonly mediaType: string; readonly body: Uint8Array };
}

/** Tokens of an answer; `null` where the provider did not say. */
export interface Usage {
  /** Tokens in the prompt. */
  readonly promptTokens: number | null;
  /** Tokens in the answer, what the model thought before it included. */
  readonly completionTokens: number | null;
}

/** An answer from the cache, or on its way into it. */
export interface Entry {
  /** Media type of {@link Entry.bytes}. */
  readonly mediaType: string;
  /** What became of the request; of several samples the worst. */
  readonly outcome: Outcome;
  /** The model the request named. */
  readonly modelAsked: string;
  /** The model that answered; `null` when the provider did not say, or samples differ. */
  readonly modelAnswered: string | null;
  /** The provider's `system_fingerprint`; `null` when it did not say, or samples differ. */
  readonly fingerprint: string | null;
  /** Tokens one call for all samples takes: the prompt once, the completions together. */
  readonly usage: Usage;
  /** What the samples cost together, in millionths of a US dollar; `null` when that is not known of each. */
  readonly costMicrodollars: number | null;
  /** How long the provider took, in milliseconds; of several calls the longest. */
  readonly latency: number | null;
  /** When the oldest sample was stored, in milliseconds since 1970. */
  readonly created: number;
  /** When the first sample may no longer be served, in milliseconds since 1970, or `null` for never. */
  readonly expires: number | null;
  /** How many samples there are. */
  readonly samples: number;
  /**
   * The answer as JSON in UTF-8. One sample comes byte for byte as it was stored; several are put together.
   *
   * @throws CacheError `corrupt` when a stored row turns out not to decompress.
   */
  bytes(): Uint8Array;
  /** {@link Entry.bytes} as text. */
  text(): string;
  /** {@link Entry.bytes} parsed, anew at every call: the caller may change the value. */
  json(): unknown;
}

/**
 * Makes an entry of samples, of which there is at least one. `body` stands for their bytes, or the text of
 * these, where that is there already: an answer with several choices that comes straight from the provider is passed on untouched.
 */
export function entryOf(samples: readonly Sample[], body?: Uint8Array | string): Entry {
  return new SampledEntry(samples, body);
}

class SampledEntry implements Entry {
  readonly #samples: readonly Sample[];
  #body: Uint8Array | undefined;
  #text: string | undefined;

  constructor(samples: readonly Sample[], body: Uint8Array | string | undefined) {
    this.#samples = samples;
    if (typeof body === "string") this.#text = body;
    else this.#body = body;
  }

  get #first(): Sample {
    return this.#samples[0]!;
  }

  get mediaType(): string {
    return this.#first.mediaType;
  }

  get outcome(): Outcome {
    return worstOutcome(this.#samples.map((sample) => sample.outcome));
  }

  get modelAsked(): string {
    return this.#first.modelAsked;
  }

  get modelAnswered(): string | null {
    return this.#common((sample) => sample.modelAnswered);
  }

  get fingerprint(): string | null {
    return this.#common((sample) => sample.fingerprint);
  }

  get usage(): Usage {
    return { promptTokens: this.#first.promptTokens, completionTokens: this.#sum((sample) => sample.completionTokens) };
  }

  get costMicrodollars(): number | null {
    return this.#sum((sample) => sample.costMicrodollars);
  }

  get latency(): number | null {
    const known = this.#samples.map((sample) => sample.latency).filter((latency) => latency !== null);
    return known.length === 0 ? null : Math.max(...known);
  }

  get created(): number {
    return Math.min(...this.#samples.map((sample) => sample.created));
  }

  get expires(): number | null {
    const known = this.#samples.map((sample) => sample.expires).filter((expires) => expires !== null);
    return known.length === 0 ? null : Math.min(...known);
  }

  get samples(): number {
    return this.#samples.length;
  }

  bytes(): Uint8Array {
    return this.#body ??= this.#text === undefined ? this.#read() : encodeText(this.#text);
  }

  text(): string {
    if (this.#text !== undefined) return this.#text;
    if (this.#body || this.#samples.length > 1) return decodeText(this.bytes());
    return this.#text = look(this.#first, decodeText);
  }

  json(): unknown {
    return JSON.parse(this.text());
  }

  #read(): Uint8Array {
    // A copy, for one row may be behind several entries, and what is done to the bytes of one must not show in another.
    return this.#samples.length === 1 ? look(this.#first, copy) : this.#join();
  }

  #join(): Uint8Array {
    const answers = this.#samples.map((sample) => JSON.parse(look(sample, decodeText)) as JsonObject);
    return encodeText(JSON.stringify(joinAnswers(answers)));
  }

  #common(read: (sample: Sample) => string | null): string | null {
    const value = read(this.#first);
    return this.#samples.every((sample) => read(sample) === value) ? value : null;
  }

  #sum(read: (sample: Sample) => number | null): number | null {
    return this.#samples.map(read).reduce((sum, value) => (sum === null || value === null ? null : sum + value), 0);
  }
}

/** Has `use` look at a sample's bytes, without a copy where that is possible. */
function look<T>(sample: Sample, use: (bytes: Uint8Array) => T): T {
  return sample.read ? sample.read(use) : use(sample.bytes());
}

function copy(bytes: Uint8Array): Uint8Array {
  return bytes.slice();
}
