/** Requests and answers that a page and its test both know: enough of them for a dictionary to be built. */

/** How many there are. */
export const ANSWERS = 300;

/** A request. */
export function requestOf(number: number): { model: string; messages: { role: string; content: string }[] } {
  return { model: "größtes-modell", messages: [{ role: "user", content: `Frage ${number}: 日本語 \u2028 🙂` }] };
}

/** Its answer. */
export function answerOf(number: number): object {
  const content = `Antwort ${number}: ${"what all answers have in common, ".repeat(20)}${number * 1_234_567}`;
  return {
    id: `answer-${number}`,
    object: "chat.completion",
    model: "größtes-modell",
    choices: [{ index: 0, message: { role: "assistant", content }, finish_reason: "stop" }],
    usage: { prompt_tokens: 10, completion_tokens: number, total_tokens: 10 + number },
  };
}
