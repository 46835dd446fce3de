// Eight plans for one sentence, as pictures, each as soon as it is written; the keys 1 to 8 choose.

import { follow, get, post, remove, removeLast } from "./api.js";
import { $, clock, h } from "./dom.js";
import { RENDERING, given } from "./fields.js";
import { say } from "./notices.js";
import { picture } from "./picture.js";
import { prompt } from "./prompt.js";
import { open } from "./state.js";

const N = 8;
let found = []; // what was written: { plan, view } or null
let jobs = [];
let chosen = null;

// Nobody will look at plans of a page that is gone.
addEventListener("pagehide", () => {
  for (const [i, job] of jobs.entries()) if (!found[i]) removeLast(`/v1/jobs/${job.id}`);
});

export async function ask() {
  if (!prompt()) {
    say("Say in words what the music should be.", { bad: true });
    $("#prompt").focus();
    return;
  }
  for (const job of jobs) remove(`/v1/jobs/${job.id}`).catch(() => {});
  [found, jobs, chosen] = [Array(N).fill(null), [], null];
  draw();
  const mine = found;
  const fields = { prompt: prompt(), ...given(RENDERING) };
  const seed = fields.seed ?? Math.floor(Math.random() * 2 ** 32);
  try {
    for (let i = 0; i < N && mine === found; i += 1) {
      const job = await post("/v1/plans", { ...fields, n: 1, seed: seed + i });
      jobs.push(job);
      arrive(job, i, mine);
    }
  } catch (error) {
    if (mine === found) fail(error.message);
  }
}

async function arrive(job, i, mine) {
  const card = () => $(`#candidates [data-i="${i}"] .candidate-state`);
  try {
    const end = await follow(job, (event) => {
      if (mine === found && card()) card().textContent = event.state === "queued" ? "waits" : event.stage || "begins";
    });
    if (mine !== found) return;
    if (end.state !== "done") {
      if (end.state === "failed") fail(end.error.message);
      return;
    }
    mine[i] = { ...(await get(`/v1/library/${job.id}/views/plan.json`)), notes: end.result.notes };
    draw();
    if (chosen === null) choose(i);
  } catch (error) {
    if (mine === found) fail(error.message);
  }
}

function fail(message) {
  say(message, { bad: true });
  if (!found.some(Boolean)) found = [];
  draw();
}

export function choose(i) {
  if (!found[i]) return;
  chosen = i;
  open(found[i]);
  for (const note of found[i].notes) say(note);
  for (const button of document.querySelectorAll("#candidates button")) {
    button.setAttribute("aria-pressed", String(Number(button.dataset.i) === i));
  }
}

export function draw() {
  const box = $("#candidates");
  const focused = document.activeElement?.dataset?.i;
  box.replaceChildren(
    ...found.map((one, i) => {
      if (!one) return h("div", { class: "candidate waiting", "data-i": i }, h("span", { class: "candidate-key" }, `${i + 1}`), h("span", { class: "candidate-state" }, "waits"));
      const { view, plan } = one;
      const canvas = h("canvas", { "aria-hidden": "true" });
      const tempo = typeof plan.tempo === "number" ? plan.tempo : plan.tempo?.[0]?.bpm;
      const form = view.sections.map((section) => section.label ?? "?").join(" ");
      return h(
        "button",
        { class: "candidate", "data-i": i, "aria-pressed": String(i === chosen), "aria-label": `Plan ${i + 1}: ${view.summary}; ${form}`, title: form, onclick: () => choose(i) },
        canvas,
        h("span", { class: "candidate-key" }, `${i + 1}`),
        h("span", { class: "candidate-facts" }, `${plan.key ?? "?"} · ${tempo ?? "?"} · ${clock(view.seconds)}`),
      );
    }),
  );
  box.hidden = !found.length;
  for (const button of box.querySelectorAll("button")) picture($("canvas", button), found[Number(button.dataset.i)].view);
  if (focused !== undefined) $(`#candidates button[data-i="${focused}"]`)?.focus();
}
