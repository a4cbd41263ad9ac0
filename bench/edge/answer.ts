/** What the provider of `bench/edge.ts` says: 2 KB, another text to each question, and the same to the same one. */

/** The answer to a request's body. */
export function answerTo(body: string): string {
  const { model, messages: [{ content }] } = JSON.parse(body);
  const words = Array.from({ length: 250 }, (_, index) => `${content}${(index * 7919) % 1000}`).join(" ").slice(
    0,
    1800,
  );
  return JSON.stringify({
    id: "chatcmpl-1",
    object: "chat.completion",
    created: 1,
    model,
    choices: [{ index: 0, message: { role: "assistant", content: words }, finish_reason: "stop" }],
    usage: { prompt_tokens: 10, completion_tokens: 250, total_tokens: 260 },
  });
}
