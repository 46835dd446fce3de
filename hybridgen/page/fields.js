// The fields of a request as chips: automatic, from the prompt, or locked. A closed padlock keeps a value whatever the words say.

import { capital, h, icon, popover } from "./dom.js";
import { state } from "./state.js";

const locked = new Map(); // field -> value as a request says it
let understood = {}; // field -> { text, value }, of the words

// Fields that a chip stands for, how a locked value reads, and what is shown to change it.
const CHIPS = [
  { id: "length", label: "Length", names: ["seconds", "bars", "sections"], auto: () => `${state.options.default_seconds} s`, read: (v) => (v.bars ? `${v.bars} bars` : `${v.seconds} s`), form: lengthForm },
  { id: "tempo", label: "Tempo", names: ["tempo"], read: (v) => `${v.tempo} BPM`, form: numberForm("tempo", "BPM") },
  { id: "key", label: "Key", names: ["key"], read: (v) => v.key, form: choiceForm("key", () => state.options.keys) },
  { id: "meter", label: "Meter", names: ["meter"], read: (v) => v.meter, form: choiceForm("meter", () => state.options.meters) },
  { id: "players", label: "Players", names: ["instruments", "without", "roles"], read: readPlayers, form: playersForm },
  { id: "form", label: "Form", names: ["form"], read: (v) => v.form.join(" "), form: wordsForm("form", "intro verse chorus outro") },
  { id: "ending", label: "Ending", names: ["ending"], read: (v) => v.ending, form: choiceForm("ending", () => state.options.endings) },
  { id: "melody", label: "Melody", names: ["melody"], read: () => "your tune", optional: true },
  { id: "mode", label: "Mode", names: ["mode"], read: (v) => v.mode, form: choiceForm("mode", () => state.options.modes), more: true },
  { id: "chords", label: "Chords", names: ["chords"], read: (v) => v.chords.join(" "), form: wordsForm("chords", "Am F C G"), more: true },
  { id: "swing", label: "Swing", names: ["swing"], read: (v) => v.swing, form: textForm("swing", "62% or straight"), more: true },
  { id: "sound", label: "Sound", names: ["sound"], read: (v) => v.sound.join(", "), form: soundForm },
  { id: "dynamics", label: "Dynamics", names: ["dynamics"], read: (v) => v.dynamics, form: choiceForm("dynamics", () => field("dynamics").choices), more: true },
  { id: "seed", label: "Seed", names: ["seed"], read: (v) => String(v.seed), form: numberForm("seed", ""), more: true },
  { id: "num_steps", label: "Steps", names: ["num_steps"], auto: () => "the model’s", read: (v) => String(v.num_steps), form: numberForm("num_steps", "steps"), more: true },
  { id: "guidance_scale", label: "Guidance", names: ["guidance_scale"], auto: () => "the model’s", read: (v) => String(v.guidance_scale), form: numberForm("guidance_scale", ""), more: true },
];
export const RENDERING = ["num_steps", "guidance_scale"];
const field = (name) => state.options.fields.track[name];

export function setUnderstood(controls) {
  understood = controls;
  draw();
}

// What is locked, as fields of a request; of a plan alone without those of a render.
export function given(without = []) {
  const all = Object.assign({}, ...locked.values());
  return Object.fromEntries(Object.entries(all).filter(([name]) => !without.includes(name)));
}

export function lock(values) {
  for (const chip of CHIPS) {
    const mine = Object.fromEntries(Object.entries(values).filter(([name, value]) => chip.names.includes(name) && value !== null && value !== undefined));
    if (Object.keys(mine).length) locked.set(chip.id, mine);
  }
  draw();
}

function set(chip, value) {
  if (value) locked.set(chip.id, value);
  else locked.delete(chip.id);
  draw();
}

const worded = (chip) => chip.names.filter((name) => understood[name]);

function stateOf(chip) {
  if (locked.has(chip.id)) return { kind: "locked", text: chip.read(locked.get(chip.id)) };
  const names = worded(chip);
  if (names.length) return { kind: "prompt", text: names.map((name) => understood[name].text.replace(/^(form|ending|chords|sound) /, "")).join(", ") };
  return { kind: "auto", text: chip.auto?.() ?? "auto" };
}

const SAID = { locked: "locked", prompt: "from the prompt", auto: "automatic" };

export function draw() {
  const [box, more] = [document.getElementById("chips"), document.getElementById("more-chips")];
  const focused = document.activeElement?.closest?.("[data-chip]")?.dataset;
  box.replaceChildren();
  more.replaceChildren();
  for (const chip of CHIPS) {
    const { kind, text } = stateOf(chip);
    if (chip.optional && kind === "auto") continue;
    const open = h(
      "button",
      { class: "chip-value", "data-field": chip.names[0], "aria-label": `${chip.label}: ${text}, ${SAID[kind]}. Change`, onclick: () => edit(chip, open) },
      h("span", { class: "chip-label" }, chip.label),
      h("span", { class: "chip-text" }, text),
    );
    const padlock = h(
      "button",
      { class: "chip-lock", "aria-pressed": String(kind === "locked"), "aria-label": `Lock ${chip.label.toLowerCase()}`, disabled: kind === "auto", title: SAID[kind], onclick: () => flip(chip) },
      icon(kind === "locked" ? "locked" : "unlocked"),
    );
    const element = h("div", { class: `chip ${kind}`, "data-chip": chip.id, role: "group", "aria-label": chip.label }, open, padlock);
    (chip.more && kind === "auto" ? more : box).append(element);
    if (focused?.chip === chip.id) open.focus({ preventScroll: true });
  }
}

// The padlock keeps what the words have fixed, or lets go of what is kept.
function flip(chip) {
  if (locked.has(chip.id)) return set(chip, null);
  const values = Object.fromEntries(worded(chip).map((name) => [name, understood[name].value]));
  set(chip, Object.keys(values).length ? values : null);
}

function edit(chip, anchor) {
  if (!chip.form) return set(chip, null);
  const now = locked.get(chip.id) ?? Object.fromEntries(worded(chip).map((name) => [name, understood[name].value]));
  const { body, value } = chip.form(now, chip);
  const panel = popover(
    anchor,
    chip.label,
    h("h3", {}, chip.label),
    h(
      "form",
      {
        method: "dialog",
        onsubmit: (event) => {
          event.preventDefault();
          const found = value();
          panel.close();
          if (found) set(chip, found);
        },
      },
      body,
      h("div", { class: "row end" }, h("button", { type: "button", class: "quiet", onclick: () => (panel.close(), set(chip, null)) }, "Automatic"), h("button", { class: "primary" }, icon("locked"), "Lock")),
    ),
  );
  body.querySelector("input, select")?.focus();
}

// ---- forms: each gives elements, and the fields that they say

function control(name, tag, props, ...children) {
  const facts = field(name);
  return h(tag, { name, "aria-label": capital(name.replace("_", " ")), min: facts.minimum, max: facts.maximum, title: facts.help, ...props }, ...children);
}

function numberForm(name, unit) {
  return (now) => {
    const facts = field(name);
    const whole = ["seed", "num_steps", "bars"].includes(name);
    const value = Array.isArray(now[name]) ? now[name][0] : now[name] ?? facts.default;
    const input = control(name, "input", { type: "number", step: whole ? 1 : "any", value: value ?? "", required: true });
    input.value = value ?? "";
    const body = h("label", { class: "line" }, input, h("span", { class: "faint" }, `${unit} ${facts.minimum}–${facts.maximum}`.trim()));
    return { body, value: () => ({ [name]: Number(input.value) }) };
  };
}

function choiceForm(name, choices) {
  return (now) => {
    const select = control(name, "select", {}, choices().map((one) => h("option", { value: one, selected: one === now[name] }, one)));
    return { body: h("label", { class: "line" }, select), value: () => ({ [name]: select.value }) };
  };
}

function textForm(name, hint) {
  return (now) => {
    const input = control(name, "input", { type: "text", placeholder: hint, required: true });
    input.value = now[name] ?? "";
    return { body: h("label", { class: "line" }, input), value: () => ({ [name]: input.value.trim() }) };
  };
}

function wordsForm(name, hint) {
  return (now) => {
    const input = control(name, "input", { type: "text", placeholder: hint, required: true });
    input.value = (now[name] ?? []).map((one) => (Array.isArray(one) ? one.join(",") : one)).join(" ");
    return { body: h("label", { class: "line" }, input), value: () => ({ [name]: input.value.trim().split(/\s+/) }) };
  };
}

// Kinds of sound, each free, wanted or not wanted.
export function soundForm(now) {
  const said = new Set(now.sound ?? []);
  const rows = field("sound").choices.map((kind) => {
    const choices = [["", "free"], [kind, "yes"], [`not ${kind}`, "no"]];
    const select = h("select", { "aria-label": `Sound: ${kind}` }, choices.map(([value, text]) => h("option", { value, selected: said.has(value) }, text)));
    return h("label", { class: "line" }, h("span", { class: "grow" }, kind), select);
  });
  const value = () => {
    const sound = rows.map((row) => row.querySelector("select").value).filter(Boolean);
    return sound.length ? { sound } : null;
  };
  return { body: h("div", { class: "columns" }, rows), value };
}

function lengthForm(now) {
  const inBars = Boolean(now.bars);
  const unit = h("select", { "aria-label": "Unit" }, h("option", { value: "seconds" }, "seconds"), h("option", { value: "bars", selected: inBars }, "bars"));
  const input = control("seconds", "input", { type: "number", step: "any", required: true });
  input.value = now.bars ?? now.seconds ?? state.options.default_seconds;
  const limit = () => {
    const facts = field(unit.value);
    const most = unit.value === "seconds" ? state.options.limits.seconds : facts.maximum;
    Object.assign(input, { min: facts.minimum, max: most, name: unit.value, step: unit.value === "bars" ? "1" : "any" });
  };
  unit.addEventListener("change", limit);
  limit();
  return { body: h("div", { class: "line" }, input, unit), value: () => ({ [unit.value]: Number(input.value) }) };
}

function readPlayers(v) {
  const parts = Object.entries(v.instruments ?? {}).map(([role, programs]) => nameOf(role, programs));
  if (v.roles) parts.push(`only ${v.roles.join(" ")}`);
  if (v.without?.length) parts.push(`no ${v.without.join(" ")}`);
  return parts.join(", ") || "anyone";
}

function nameOf(role, programs) {
  const program = Array.isArray(programs) ? programs[0] : programs;
  return state.options.instruments[role].find((one) => one.program === program)?.name ?? (typeof program === "string" ? program : role);
}

function playersForm(now) {
  const rows = state.options.roles.map((role) => {
    const programs = now.instruments?.[role];
    const program = Array.isArray(programs) ? programs[0] : programs;
    const plays = now.instruments && role in now.instruments;
    const select = h(
      "select",
      { "aria-label": `Instrument of ${role}` },
      h("option", { value: "" }, "automatic"),
      h("option", { value: "out", selected: Boolean(now.without?.includes(role)) }, "does not play"),
      h("option", { value: "any", selected: plays && program === undefined }, "plays, anything"),
      state.options.instruments[role].map((one) => h("option", { value: one.program, selected: plays && one.program === program }, one.name)),
    );
    select.dataset.role = role;
    return h("label", { class: "line" }, h("span", { class: `dot ${role}` }), h("span", { class: "grow" }, role), select);
  });
  const value = () => {
    const [instruments, without] = [{}, []];
    for (const row of rows) {
      const select = row.querySelector("select");
      if (select.value === "out") without.push(select.dataset.role);
      else if (select.value) instruments[select.dataset.role] = select.value === "any" ? null : [Number(select.value)];
    }
    const found = {};
    if (Object.keys(instruments).length) found.instruments = instruments;
    if (without.length) found.without = without;
    return Object.keys(found).length ? found : null;
  };
  return { body: h("div", { class: "stack" }, rows), value };
}
