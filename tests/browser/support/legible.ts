/// <reference lib="dom" />
/** What can be told of a page without looking at it: whether it can be read, and whether everything in it has a name. */

/** Of every text that is seen: what it says, and its contrast as WCAG 2 computes it, where that is too little. */
export function faintTexts(): string[] {
  type Colour = [number, number, number, number];
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true })!;
  const colourOf = (css: string): Colour => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = css;
    canvas.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
    return [red!, green!, blue!, alpha! / 255];
  };
  const over = (top: Colour, under: Colour): Colour => {
    const mix = (at: 0 | 1 | 2): number => top[at] * top[3] + under[at] * (1 - top[3]);
    return [mix(0), mix(1), mix(2), 1];
  };
  const light = ([...channels]: Colour): number => {
    const [red, green, blue] = channels.map((each) => {
      const share = each / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!;
  };
  const groundOf = (element: Element | null): Colour => {
    if (element === null) return colourOf("Canvas");
    const own = colourOf(getComputedStyle(element).backgroundColor);
    return own[3] === 1 ? own : over(own, groundOf(element.parentElement));
  };
  const found: string[] = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent!.trim();
    const element = walker.currentNode.parentElement!;
    if (text === "" || element.closest("svg, [hidden], [aria-hidden=true], script") || !element.checkVisibility()) {
      continue;
    }
    const style = getComputedStyle(element);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const ground = groundOf(element);
    const [a, b] = [light(over(colourOf(style.color), ground)), light(ground)];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < (isLarge ? 3 : 4.5)) found.push(`${contrast.toFixed(2)}: ${text.slice(0, 40)}`);
  }
  return found;
}

/**
 * What can be used but says not what for, ids that are there twice, headings that leave out a level, and which of the
 * landmarks are missing.
 */
export function unnamedParts(landmarks: readonly string[]): string[] {
  const found: string[] = [];
  for (
    const element of document.querySelectorAll<HTMLElement>("a, button, input:not([type=hidden]), select, textarea")
  ) {
    const labels = (element as HTMLInputElement).labels;
    const name = element.getAttribute("aria-label") ?? (labels?.length ? labels[0]!.textContent : element.textContent);
    if (name!.trim() === "") found.push(`no name: ${element.outerHTML.slice(0, 80)}`);
  }
  for (const element of document.querySelectorAll("svg:not([aria-hidden])")) {
    if (!element.getAttribute("aria-label")) found.push(`no name: ${element.outerHTML.slice(0, 80)}`);
  }
  for (const element of document.querySelectorAll("[aria-labelledby], [aria-describedby]")) {
    for (
      const id of (element.getAttribute("aria-labelledby") ?? element.getAttribute("aria-describedby"))!.split(" ")
    ) {
      if (document.getElementById(id) === null) found.push(`no element has the id ${id}`);
    }
  }
  const ids = [...document.querySelectorAll("[id]")].map(({ id }) => id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) found.push(`twice: #${id}`);
  const levels = [...document.querySelectorAll("h1, h2, h3, h4")].map(({ tagName }) => Number(tagName[1]));
  if (levels.filter((level) => level === 1).length !== 1) found.push(`h1 is not there once: ${levels}`);
  levels.forEach((level, at) => at > 0 && level > levels[at - 1]! + 1 && found.push(`a level is left out: ${levels}`));
  for (const name of landmarks) if (!document.querySelector(name)) found.push(`no ${name}`);
  return found;
}
