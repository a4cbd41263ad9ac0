/**
 * A stored sample seen as JSON. What was recorded as a stream answers those who want JSON as well; it is put together
 * when somebody asks, which is not on the way of most hits.
 *
 * @module
 */

import type { Clock } from "../../runtime/runtime.ts";
import type { EntryFields, StoredEntry } from "../../store/store.ts";
import type { Sample } from "./entry.ts";
import { inTurns } from "../flow/turns.ts";
import { encodeText, type JsonObject } from "../json.ts";
import type { SampleShape } from "./samples.ts";
import type { Expected, StreamProtocol } from "../stream/protocol.ts";
import { RECORDED_MEDIA_TYPE, recordedAnswer, recordedEvents } from "../stream/recording.ts";

/** A stored sample as one of JSON; `protocol` is how the endpoint streams, if it does. */
export function asJson(stored: StoredEntry, protocol: StreamProtocol | undefined, shape: SampleShape): Sample {
  if (protocol === undefined || stored.mediaType !== RECORDED_MEDIA_TYPE) return stored;
  return new RecordedSample(stored, protocol, shape);
}

class RecordedSample implements Sample {
  readonly mediaType = "application/json";
  readonly #stored: StoredEntry;
  readonly #protocol: StreamProtocol;
  readonly #expected: Expected;
  #bytes: Uint8Array | undefined;

  constructor(stored: StoredEntry, protocol: StreamProtocol, { prompts }: SampleShape) {
    this.#stored = stored;
    this.#protocol = protocol;
    this.#expected = { samples: 1, prompts };
  }

  get outcome(): EntryFields["outcome"] {
    return this.#stored.outcome;
  }

  get modelAsked(): string {
    return this.#stored.modelAsked;
  }

  get modelAnswered(): string | null {
    return this.#stored.modelAnswered;
  }

  get fingerprint(): string | null {
    return this.#stored.fingerprint;
  }

  get promptTokens(): number | null {
    return this.#stored.promptTokens;
  }

  get completionTokens(): number | null {
    return this.#stored.completionTokens;
  }

  get costMicrodollars(): number | null {
    return this.#stored.costMicrodollars;
  }

  get latency(): number | null {
    return this.#stored.latency;
  }

  get created(): number {
    return this.#stored.created;
  }

  get expires(): number | null {
    return this.#stored.expires;
  }

  get recording(): { readonly mediaType: string; readonly body: Uint8Array } {
    return { mediaType: this.#stored.mediaType, body: this.#stored.bytes() };
  }

  bytes(): Uint8Array {
    return this.#bytes ??= bytesOf(recordedAnswer(this.#stored.bytes(), this.#protocol, this.#expected));
  }

  async prepare(clock: Clock): Promise<void> {
    if (this.#bytes !== undefined) return;
    const assembler = this.#protocol.assembler(this.#expected);
    const events = recordedEvents(this.#stored.bytes());
    await inTurns(clock, events, ({ event }) => assembler.add(event), Infinity);
    const answer = assembler.answer();
    // Why there is none is for whoever asks for it to hear.
    if (answer !== undefined) this.#bytes = bytesOf(answer);
  }
}

function bytesOf(answer: JsonObject): Uint8Array {
  return encodeText(JSON.stringify(answer));
}
