/** What processes that share a cache ask it for. */

export interface Request {
  readonly model: string;
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  readonly n?: number;
}

/** A request for `n` answers about a topic. */
export function requestFor(topic: number, n: number): Request {
  return { model: `model-${topic % 3}`, messages: [{ role: "user", content: `topic ${topic}` }], n };
}

/** What an answer says, choice by choice. */
export function contentsOf(answer: unknown): string[] {
  return (answer as { choices: { message: { content: string } }[] }).choices.map(({ message }) => message.content);
}
