/**
 * The pages' only script. All of them work without it; with it the overview follows what happens, by asking for itself
 * again and putting its own parts in place, so that everything is rendered in one place, the server.
 *
 * @module
 */

/** As the browser gets it. */
export const SCRIPT: string = `"use strict";
const theme = document.getElementById("theme");
if (theme) {
  theme.addEventListener("change", () => theme.form.requestSubmit());
  theme.form.classList.add("is-easy");
}

for (const button of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) break;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = "Copied";
    setTimeout(() => button.textContent = "Copy", 2000);
  });
}

const live = document.getElementById("live");
if (live && window.EventSource) follow();

function follow() {
  const soon = 150, atMost = 2000, longest = 15000;
  const pause = document.getElementById("pause");
  const news = document.getElementById("news");
  let isPaused = false, isBusy = false, isDue = false, last = 0, timer;

  const events = new EventSource("/dashboard/events?after=" + live.dataset.last);
  events.addEventListener("open", () => live.classList.add("is-live"));
  events.addEventListener("error", () => live.classList.remove("is-live"));
  events.addEventListener("base", (event) => {
    if (isPaused) return;
    news.textContent = JSON.parse(event.data).text;
    refreshIn(soon);
  });
  // The first at once, those that follow together.
  events.addEventListener("requests", () => refreshIn(Math.max(soon, last + atMost - performance.now())));
  window.addEventListener("pagehide", () => events.close());
  // What is idle grows older without an event.
  setInterval(() => refreshIn(0), longest);

  pause.hidden = false;
  pause.addEventListener("click", () => {
    isPaused = !isPaused;
    pause.setAttribute("aria-pressed", String(isPaused));
    pause.textContent = isPaused ? "Go on" : "Pause";
    live.classList.toggle("is-paused", isPaused);
    if (!isPaused) refreshIn(0);
  });

  function refreshIn(delay) {
    if (isPaused || document.hidden) return;
    const wait = Math.max(delay, last + soon - performance.now());
    const at = performance.now() + wait;
    if (timer && timer.at <= at) return;
    if (timer) clearTimeout(timer.id);
    timer = { at, id: setTimeout(refresh, wait) };
  }

  async function refresh() {
    timer = undefined;
    if (isBusy) return void (isDue = true);
    isBusy = true;
    try {
      const response = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (response.redirected) return location.reload();
      if (response.ok) place(new DOMParser().parseFromString(await response.text(), "text/html"));
    } catch {
      // The server is away; the stream of events tells when it is back.
    } finally {
      last = performance.now();
      isBusy = false;
      if (isDue) refreshIn(soon);
      isDue = false;
    }
  }

  function place(page) {
    const first = document.getElementById("first");
    if (first && !page.getElementById("first") && !isSelected(first)) {
      // Its button was pressed a moment ago, as a rule: what is looked at then is the page.
      if (first.contains(document.activeElement)) document.getElementById("main").focus({ preventScroll: true });
      first.remove();
    }
    for (const part of document.querySelectorAll("[data-live]")) {
      const fresh = page.getElementById(part.id);
      // Nobody's place is taken from under the hands or the selection.
      if (!fresh || fresh.innerHTML === part.innerHTML || isInUse(part)) continue;
      const opened = [...part.querySelectorAll("details")].map((each) => each.open);
      const scrolled = [...part.querySelectorAll(".scroll")].map((each) => [each.scrollLeft, each.scrollTop]);
      part.replaceChildren(...fresh.childNodes);
      part.querySelectorAll("details").forEach((each, index) => each.open = opened[index] ?? false);
      part.querySelectorAll(".scroll").forEach((each, index) => each.scrollTo(...scrolled[index] ?? [0, 0]));
    }
  }

  function isInUse(part) {
    return part.contains(document.activeElement) || isSelected(part);
  }

  function isSelected(part) {
    const selection = getSelection();
    return !selection.isCollapsed && part.contains(selection.anchorNode);
  }
}
`;
