// Everything made: read from the disk, searched, starred, put into the bin and taken out again.

import { get, patch } from "./api.js";
import { $, clock, h, icon } from "./dom.js";
import { lock } from "./fields.js";
import { say, told } from "./notices.js";
import { fileOf } from "./sounds.js";
import { setPrompt } from "./prompt.js";
import { on, open, state } from "./state.js";

const WORDS = { track: "", repaint: "repainted", extend: "extended", loop: "loop", vary: "varied", cover: "cover", layer: "with a layer", style: "in another's style", upload: "from a file" };
export const factsOf = (track) => [track.summary ?? (track.seconds ? clock(track.seconds) : ""), WORDS[track.kind]].filter(Boolean).join(" · ");
let openTrack = () => {};
let timer;
let asked = 0;

export async function refresh() {
  const mine = (asked += 1);
  const query = new URLSearchParams({ search: $("#search").value.trim() });
  if ($("#only-starred").getAttribute("aria-pressed") === "true") query.set("starred", "true");
  if ($("#only-bin").getAttribute("aria-pressed") === "true") query.set("removed", "true");
  const found = await told(get(`/v1/library?${query}`));
  if (!found || mine !== asked) return null;
  draw(found);
  return found.tracks;
}

function draw({ tracks, total }) {
  const list = $("#tracks");
  const focused = document.activeElement?.dataset?.focus;
  const done = tracks.filter((track) => track.state === "done");
  list.replaceChildren(...done.map(row));
  $("#library-empty").hidden = done.length > 0;
  $("#library-count").textContent = total ? `${total}` : "";
  if (focused) $(`[data-focus="${CSS.escape(focused)}"]`, list)?.focus();
}

function row(track) {
  const key = (name) => `${name} ${track.id}`;
  const facts = factsOf(track);
  const button = (name, label, does, props = {}) => h("button", { class: "icon-only", "data-focus": key(name), "aria-label": `${label} ${track.title}`, title: label, onclick: does, ...props }, icon(name));
  const isBin = track.removed;
  return h(
    "li",
    { class: `track ${track.id === state.track?.id ? "chosen" : ""}`, "data-id": track.id },
    h("button", { class: "track-open", "data-focus": key("open"), "aria-label": `Open ${track.title}, ${facts}`, disabled: isBin, onclick: () => openTrack(track.id) }, h("span", { class: "track-title" }, track.title), h("span", { class: "track-facts" }, facts)),
    h(
      "div",
      { class: "track-actions" },
      isBin
        ? button("undo", "Put back", () => mark(track, { removed: false }))
        : [
            button("star", track.starred ? "Unstar" : "Star", () => mark(track, { starred: !track.starred }), { "aria-pressed": String(track.starred) }),
            button("compare", "Compare with", () => openTrack(track.id, true), { disabled: !state.track || state.track.id === track.id }),
            track.kind !== "upload" && button("settings", "Use the settings of", () => use(track)),
            fileOf(track) && h("a", { class: "icon-only", href: fileOf(track), download: `${track.title}.${fileOf(track).split(".").pop()}`, "aria-label": `Save ${track.title}`, title: "Save" }, icon("save")),
            button("bin", "Remove", () => away(track)),
          ],
    ),
  );
}

async function mark(track, marks) {
  await told(patch(`/v1/library/${track.id}`, marks));
  await refresh();
}

async function away(track) {
  await mark(track, { removed: true });
  say(`“${track.title}” is in the bin.`, { action: "Undo", run: () => mark(track, { removed: false }) });
}

export async function use(track) {
  const found = await told(get(`/v1/library/${track.id}`));
  if (!found?.settings) return;
  const { prompt, plan_seed: seed, num_steps, guidance_scale } = found.settings;
  setPrompt(prompt);
  lock({ seed, num_steps, guidance_scale });
  open({ plan: found.plan, view: found.view });
  say("Prompt, seed, steps and plan are those of the track.");
}

export function start(opens) {
  openTrack = opens;
  $("#search").addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(refresh, 200);
  });
  for (const name of ["#only-starred", "#only-bin"]) {
    $(name).addEventListener("click", (event) => {
      const button = event.currentTarget;
      button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
      refresh();
    });
  }
  on("track", () => {
    for (const item of document.querySelectorAll("#tracks li")) item.classList.toggle("chosen", item.dataset.id === state.track?.id);
    for (const button of document.querySelectorAll('#tracks [data-focus^="compare"]')) button.disabled = !state.track || button.dataset.focus.endsWith(state.track.id);
  });
}
