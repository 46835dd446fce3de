// The plan as lanes under one ruler: sections, energy, chords, a row for each role, and the notes of one of them.

import { follow, get, post } from "./api.js";
import { drawChords } from "./chords.js";
import { $, clock, h, popover } from "./dom.js";
import { soundForm } from "./fields.js";
import { say, told } from "./notices.js";
import player, { onPlayer, pause, playPlan, seek, showPlan, time, use } from "./player.js";
import { drawRoll, startRoll } from "./roll.js";
import { addRole, drawRows } from "./rows.js";
import { drawEnergy, drawSections } from "./sections.js";
import { on, open, redo, state, steps, undo } from "./state.js";
import { change, percent, playing } from "./timeline.js";

let zoom = 1;

export function start() {
  on("plan", draw);
  on("role", () => (drawRows(), drawRoll()));
  onPlayer("state", drawRows);
  $("#undo").onclick = undo;
  $("#redo").onclick = redo;
  $("#zoom-in").onclick = () => zoomTo(zoom * 1.5);
  $("#zoom-out").onclick = () => zoomTo(zoom / 1.5);
  $("#preview").onclick = preview;
  $("#write-notes").onclick = writeNotes;
  $("#add-role").onchange = addRole;
  new ResizeObserver(() => state.view && (drawRows(), drawRoll())).observe($("#timeline"));
  startRoll();
  requestAnimationFrame(move);
}

function zoomTo(value) {
  zoom = Math.max(1, Math.min(16, value));
  $("#lanes").style.setProperty("--zoom", zoom);
  drawRows();
  drawRoll();
}

// ---- hearing it

export function preview() {
  if (!state.view) return;
  if (player.isPlaying && player.mode === "plan") {
    pause();
    return;
  }
  playPlan(player.mode === "plan" ? time() : 0);
  if (unknown().length) writeNotes();
}

// The roles and bars in which somebody plays and nobody knows what.
function unknown() {
  const found = [];
  for (const section of state.view?.sections ?? []) {
    for (const part of state.view.parts) {
      if (!playing(section).includes(part.role)) continue;
      for (let bar = section.first; bar <= section.last; bar += 1) if (!part.known[bar - 1]) found.push([part.role, bar]);
    }
  }
  return found;
}

let isWriting = false;

async function writeNotes() {
  if (isWriting) return;
  const { plan } = state;
  isWriting = true;
  drawHead();
  const end = await told(post("/v1/plans", { plan }).then((job) => follow(job)));
  if (end?.state === "failed") say(end.error.message, { bad: true });
  if (end?.state === "done" && state.plan === plan) open(await get(`/v1/library/${end.id}/views/plan.json`));
  isWriting = false;
  drawHead();
}

function move() {
  const cursor = $("#plan-cursor");
  const isShown = state.view && player.mode === "plan";
  cursor.hidden = !isShown;
  if (isShown) cursor.style.setProperty("--at", time() / state.view.seconds);
  requestAnimationFrame(move);
}

// ---- drawing

function draw() {
  $("#plan-empty").hidden = Boolean(state.view);
  $("#plan-body").hidden = !state.view;
  if (!state.view) return;
  showPlan(state.view);
  drawHead();
  drawRuler();
  drawSections();
  drawEnergy();
  drawChords();
  drawRows();
  drawRoll();
}

function select(name, choices, now, apply, label) {
  return h("select", { id: `plan-${name}`, "aria-label": label, onchange: (event) => apply(event.target.value) }, choices.map((one) => h("option", { value: one, selected: one === now }, one || "auto")));
}

function drawHead() {
  if (!state.view) return;
  const { plan, view } = state;
  const { undo: back, redo: forth } = steps();
  $("#undo").disabled = !back;
  $("#redo").disabled = !forth;
  const nOpen = unknown().length;
  const write = $("#write-notes");
  Object.assign(write, { hidden: !nOpen && !isWriting, disabled: isWriting });
  write.textContent = isWriting ? "Writing notes …" : `Write notes · ${nOpen} open`;
  const focused = document.activeElement?.id;
  const bpm = typeof plan.tempo === "number" ? plan.tempo : plan.tempo?.[0]?.bpm;
  const { minimum: min, maximum: max } = state.options.fields.repaint.tempo;
  const tempo = h("input", { id: "plan-tempo", type: "number", min, max, step: "0.1", "aria-label": "Tempo in quarter notes a minute", disabled: !bpm, onchange: (event) => change({ edit: "edit", tempo: Number(event.target.value) }) });
  tempo.value = bpm ?? "";
  const ending = String(plan.ending ?? "").split(" ")[0];
  const endings = [...(ending ? [] : [""]), ...state.options.endings, "loop"];
  $("#plan-name").textContent = plan.prompt.split(/[,;.\n]/)[0];
  $("#plan-facts").replaceChildren(
    h("label", {}, "Key ", select("key", plan.key ? state.options.keys : ["", ...state.options.keys], plan.key, (key) => change({ edit: "edit", key }), "Key of the plan")),
    h("label", {}, tempo, " BPM"),
    h("span", { class: "fact" }, plan.meter ?? ""),
    h("span", { class: "fact" }, `${view.bars.length - 1} bars`),
    h("span", { class: "fact" }, clock(view.seconds)),
    h("label", {}, "Ends ", select("ending", endings, ending, (value) => value && change({ edit: "edit", ending: value }), "Ending of the plan")),
    soundButton(plan),
  );
  if (focused?.startsWith("plan-")) document.getElementById(focused)?.focus();
}

// How the whole plan is to sound; what is said of a kind goes with the next render.
function soundButton(plan) {
  const said = (plan.sound ?? []).join(", ");
  const button = h("button", { id: "plan-sound", class: "quiet", "aria-label": `Sound of the plan: ${said || "auto"}. Change`, onclick: () => chooseSound(plan, button) }, `Sound: ${said || "auto"}`);
  return button;
}

function chooseSound(plan, anchor) {
  const { body, value } = soundForm({ sound: plan.sound });
  const apply = (event) => {
    event.preventDefault();
    panel.close();
    change({ edit: "edit", sound: value()?.sound ?? [] });
  };
  const panel = popover(anchor, "Sound", h("h3", {}, "Sound"), h("form", { method: "dialog", onsubmit: apply }, body, h("div", { class: "row end" }, h("button", { class: "primary" }, "Set"))));
  body.querySelector("select").focus();
}

function drawRuler() {
  const { view } = state;
  const missing = state.options.roles.filter((role) => !view.parts.some((part) => part.role === role));
  const add = $("#add-role");
  add.replaceChildren(h("option", { value: "" }, "+ role"), ...missing.map((role) => h("option", { value: role }, role)));
  add.hidden = !missing.length;
  const n = view.bars.length - 1;
  const every = n > 160 ? 16 : n > 80 ? 8 : n > 32 ? 4 : n > 16 ? 2 : 1;
  const lines = [];
  for (let bar = 1; bar <= n; bar += 1) {
    if ((bar - 1) % every) continue;
    const mark = h("span", { class: "bar-number" }, `${bar}`);
    mark.style.left = percent(view.bars[bar - 1]);
    lines.push(mark);
  }
  $("#plan-ruler").replaceChildren(...lines);
  $("#plan-ruler").onclick = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    use("plan");
    seek(((event.clientX - box.left) / box.width) * view.seconds);
  };
}

