// Work under way: how far it is, how long it will take, and a way to end it.

import { follow, remove } from "./api.js";
import { $, capital, h, icon } from "./dom.js";
import { lives } from "./player.js";

const rows = new Map();
const WORDS = { track: "Render", repaint: "Repaint", extend: "Extend", loop: "Loop", vary: "Vary", cover: "Cover", layer: "Layer", style: "Style", stems: "Stems", export: "Export", notes: "Notes" };

// The job as it ends; its row is there as long.
export async function watch(job, tell) {
  const bar = h("progress", { max: "1", "aria-label": `${WORDS[job.kind] ?? job.kind}: done` });
  const text = h("span", { class: "job-text" }, "waits");
  const cancel = h("button", { class: "icon-only", "aria-label": `Cancel ${WORDS[job.kind] ?? job.kind}`, onclick: () => end(job) }, icon("close"));
  const row = h("div", { class: "job", "data-job": job.id }, h("span", { class: "job-kind" }, WORDS[job.kind] ?? capital(job.kind)), bar, text, cancel);
  rows.set(job.id, row);
  $("#jobs").append(row);
  try {
    return await follow(job, (event) => {
      if (event.state === "queued") text.textContent = event.ahead ? `${event.ahead} before it` : "next";
      else {
        const left = event.seconds_left === null ? "" : ` · ${Math.max(1, Math.round(event.seconds_left))} s left`;
        text.textContent = `${event.stage || "begins"}${left}`;
        if (event.total) bar.value = event.done / event.total;
      }
      tell?.(event);
    });
  } finally {
    row.remove();
    rows.delete(job.id);
  }
}

function end(job) {
  lives.get(job.id)?.close();
  remove(`/v1/jobs/${job.id}`).catch(() => {}); // it may have ended by itself
}

export const isWatched = (id) => rows.has(id);
