// A row for each role: what plays it, whether it is heard, in which sections it plays, and its notes from afar.

import { $, h, icon, sized } from "./dom.js";
import { drawNotes } from "./picture.js";
import player, { mute } from "./player.js";
import { set, state } from "./state.js";
import { change, nameOf, playing, spanOf } from "./timeline.js";

export function drawRows() {
  const { view } = state;
  if (!view) return;
  const box = $("#plan-rows");
  const focused = document.activeElement?.dataset?.focus;
  box.replaceChildren();
  for (const part of view.parts) box.append(row(part));
  for (const canvas of box.querySelectorAll("canvas")) {
    const part = view.parts.find((one) => one.role === canvas.dataset.role);
    const width = canvas.parentElement.clientWidth;
    const height = canvas.parentElement.clientHeight;
    if (!width) continue;
    canvas.style.width = "100%";
    const context = sized(canvas, width, height);
    drawNotes(context, part, { x: (seconds) => (seconds / view.seconds) * width, top: 4, height: height - 8 });
  }
  if (focused) $(`[data-focus="${focused}"]`, box)?.focus();
}

function row(part) {
  const { view } = state;
  const isOn = view.sections.some((section) => playing(section).includes(part.role));
  const choices = state.options.instruments[part.role];
  const known = choices.some((one) => one.program === part.program);
  const instrument = h(
    "select",
    { class: "instrument", "data-focus": `instrument ${part.role}`, "aria-label": `Instrument of ${part.role}`, onchange: () => change({ edit: "edit", instruments: { [part.role]: Number(instrument.value) } }) },
    known ? [] : h("option", { value: part.program ?? "", selected: true }, part.instrument ?? "auto"),
    choices.map((one) => h("option", { value: one.program, selected: one.program === part.program }, one.name)),
  );
  const lane = h("div", { class: "lane notes" }, h("canvas", { "data-role": part.role, "aria-hidden": "true" }));
  for (const section of view.sections) {
    const plays = playing(section).includes(part.role);
    const isOpen = plays && part.known.slice(section.first - 1, section.last).some((one) => !one);
    const cell = h("button", { class: `cell ${plays ? (isOpen ? "open" : "on") : "off"}`, tabindex: "-1", "aria-pressed": String(plays), "aria-label": `${part.role} in ${nameOf(section)}, bars ${section.first} to ${section.last}`, title: plays ? `${part.role} plays; click: silent here` : `${part.role} is silent; click: plays here`, onclick: () => toggleRole(section, part.role) });
    Object.assign(cell.style, spanOf(section.first, section.last));
    lane.append(cell);
  }
  return h(
    "div",
    { class: `lane-row role ${part.role} ${part.role === state.role ? "chosen" : ""} ${isOn ? "" : "silent"}` },
    h(
      "div",
      { class: "gutter" },
      h("span", { class: `stripe ${part.role}` }),
      h("button", { class: "role-name", "data-focus": `role ${part.role}`, "aria-pressed": String(part.role === state.role), "aria-label": `${part.role}: show its notes`, onclick: () => set({ role: part.role }) }, part.role),
      instrument,
      h("button", { class: "tiny", "data-focus": `mute ${part.role}`, "aria-pressed": String(player.silent.has(part.role)), "aria-label": `Mute ${part.role}`, onclick: () => mute(part.role) }, "M"),
      h("button", { class: "tiny", "data-focus": `solo ${part.role}`, "aria-pressed": String(player.solo.has(part.role)), "aria-label": `Solo ${part.role}`, onclick: () => mute(part.role, player.solo) }, "S"),
      h("button", { class: "tiny power", "data-focus": `power ${part.role}`, "aria-pressed": String(isOn), "aria-label": `${part.role} plays`, onclick: () => power(part.role, isOn) }, icon("power")),
    ),
    lane,
  );
}

export function toggleRole(section, role) {
  const now = playing(section);
  const roles = now.includes(role) ? now.filter((one) => one !== role) : [...now, role];
  return change({ edit: "edit", bars: [section.first, section.last], roles, keep_notes: true });
}

// One more role, in all sections.
export function addRole({ target: { value: role } }) {
  if (!role) return;
  const { program } = state.options.instruments[role][0];
  const plays = state.view.sections.map((section) => ({ edit: "edit", bars: [section.first, section.last], roles: [...playing(section), role], keep_notes: true }));
  change({ edit: "edit", instruments: { [role]: program } }, ...plays).then(() => set({ role }));
}

// A role in all sections, or in none.
function power(role, isOn) {
  const edits = state.view.sections.map((section) => {
    const others = playing(section).filter((one) => one !== role);
    return { edit: "edit", bars: [section.first, section.last], roles: isOn ? others : [...others, role], keep_notes: true };
  });
  change(...edits);
}
