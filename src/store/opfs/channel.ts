/**
 * Channels between the tabs of a site (https://html.spec.whatwg.org/multipage/web-messaging.html#broadcasting-to-other-browsing-contexts).
 *
 * @module
 */

/**
 * A channel that hears what is posted from now on. Browsers register one with a process of their own while the program
 * goes on, and two channels in no certain order: whoever tells others on one channel that he listens on another has to
 * know that he does.
 */
export async function listenOn(name: string, handler: (message: unknown) => void): Promise<BroadcastChannel> {
  const channel = new BroadcastChannel(name);
  const tester = new BroadcastChannel(name);
  const test = `test ${crypto.getRandomValues(new Uint32Array(4)).join("")}`;
  try {
    await new Promise<void>((resolve) => {
      channel.onmessage = ({ data }) => {
        if (data === test) resolve();
        // Whatever else a page of the site may post is no reason to fall over.
        else if (typeof data === "object" && data !== null) handler(data);
      };
      tester.postMessage(test);
    });
    return channel;
  } finally {
    tester.close();
  }
}
