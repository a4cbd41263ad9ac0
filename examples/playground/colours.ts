/// <reference lib="dom" />
/** Which colours, before anything is painted: the system's, or those that were chosen here. */

const KEY = "warmcache:colours";
const chosen = localStorage.getItem(KEY) ?? "auto";
if (chosen !== "auto") document.documentElement.dataset.theme = chosen;

addEventListener("DOMContentLoaded", () => {
  const select = document.getElementById("colours");
  if (!(select instanceof HTMLSelectElement)) return;
  select.value = chosen;
  select.addEventListener("change", () => {
    localStorage.setItem(KEY, select.value);
    if (select.value === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = select.value;
  });
});
