// The sentence, and live under it what was understood.

import { get } from "./api.js";
import { $ } from "./dom.js";
import { draw, setUnderstood } from "./fields.js";

const PAUSE = 180; // milliseconds after the last key
let timer;
let asking;

export const prompt = () => $("#prompt").value.trim();

export function setPrompt(text) {
  $("#prompt").value = text;
  understand();
}

async function understand() {
  asking?.abort();
  asking = new AbortController();
  const notes = $("#understood-notes");
  if (!prompt()) {
    setUnderstood({});
    notes.textContent = "";
    return;
  }
  try {
    const found = await get(`/v1/understand?prompt=${encodeURIComponent(prompt())}`, asking.signal);
    setUnderstood(found.controls);
    const unread = found.unread.length ? [`Not understood: ${found.unread.join(", ")}`] : [];
    notes.textContent = [...found.notes, ...unread].join(" · ");
  } catch (error) {
    if (error.name !== "AbortError") notes.textContent = error.message;
  }
}

export function start() {
  const box = $("#prompt");
  box.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(understand, PAUSE);
  });
  draw();
  if (prompt()) understand();
}
