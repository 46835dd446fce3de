// What has happened, said once at the foot of the page and to screen readers; some of it can be undone.

import { $, h, icon } from "./dom.js";

const SHOWN = 7000; // milliseconds

export function say(message, { action, run, bad = false } = {}) {
  const box = $("#notices");
  const close = () => line.remove();
  const line = h(
    "div",
    { class: bad ? "notice bad" : "notice" },
    h("span", {}, message),
    action && h("button", { class: "quiet", onclick: () => (close(), run()) }, action),
    h("button", { class: "icon-only", "aria-label": "Dismiss", onclick: close }, icon("close")),
  );
  while (box.childElementCount > 2) box.firstElementChild.remove();
  box.append(line);
  setTimeout(close, bad || action ? 2 * SHOWN : SHOWN);
  return close;
}

// The result of work, or null after its refusal has been said, at the foot of the page or where `tell` says it.
export async function told(work, tell = (message) => say(message, { bad: true })) {
  try {
    return await work;
  } catch (error) {
    if (error.name !== "AbortError") tell(error.message);
    return null;
  }
}
