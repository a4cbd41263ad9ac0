/**
 * Buys answers that come as streams. Whoever waits may read along as soon as the call has begun to answer; what is stored
 * is the whole, once it has ended well.
 *
 * @module
 */

import { readJson } from "../answer/answer.ts";
import type { Gap, Supplier } from "../flow/answering.ts";
import type { Bought } from "../flow/settled.ts";
import { isStream, LiveStream } from "./live_stream.ts";
import type { StreamProtocol } from "./protocol.ts";
import { RECORDED_MEDIA_TYPE } from "./recording.ts";
import { faultOf, since, type WholeAnswers } from "../flow/supplier.ts";

/** How to make a {@link Supplier} of a function that answers with a stream. */
export interface StreamedAnswers extends Omit<WholeAnswers, "read"> {
  readonly protocol: StreamProtocol;
}

/** Buys by one call, whose stream is read along. */
export function streamedAnswers({ clock, check, produce, protocol }: StreamedAnswers): Supplier {
  return {
    check,
    async buy({ shape, isPart, signal, goLive, stamp }: Gap): Promise<Bought> {
      const started = clock.monotonic();
      // A stream that has begun belongs to those who read it.
      const controller = new AbortController();
      const giveUp = (): void => controller.abort(signal.reason);
      if (signal.aborted) giveUp();
      signal.addEventListener("abort", giveUp);
      let fault: ReturnType<typeof faultOf> = {};
      let value: unknown;
      let stream: LiveStream | undefined;
      try {
        value = await produce(isPart ? shape.samples : undefined, { signal: controller.signal });
        fault = faultOf(check);
        // What one is to keep for himself is not shared while it comes.
        if (isStream(value) && fault.fault === undefined) {
          // A source may only call when it is read.
          const onBegin = (): void => void (fault = faultOf(check));
          stream = new LiveStream(value, { protocol, expected: shape, clock, started, controller, onBegin });
        }
      } catch (error) {
        return { failure: { error } };
      }
      if (stream === undefined) {
        // A provider may answer whole whatever it was asked for.
        const answer = readJson(value, shape, stamp(since(clock, started)));
        return { produced: { value }, answer: answer && { ...answer, ...fault } };
      }
      // With samples of before in front of it, it is not the stream that was asked for, but a part of the answer.
      if (!isPart && !signal.aborted) goLive(stream);
      await new Promise<void>((resolve) => clock.afterTurn(resolve));
      // Nobody reads along, but somebody may wait for the whole.
      if (!stream.wasJoined) stream.hold(signal);
      const end = await stream.ended;
      if ("error" in end) return { failure: end };
      const { answer, recording } = end;
      const read = readJson(answer, shape, stamp(since(clock, started)));
      if (read === undefined) return { produced: { value: answer } };
      const isRecorded = shape.samples * shape.prompts === 1 && read.samples.length === 1;
      const samples = read.samples.map((sample) =>
        isRecorded ? { ...sample, recording: { mediaType: RECORDED_MEDIA_TYPE, body: recording } } : sample
      );
      return { produced: { value: answer }, answer: { ...read, samples, ...fault } };
    },
  };
}
