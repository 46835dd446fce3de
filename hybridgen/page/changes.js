// From a plan to a track, from a track to another, and out of the door.

import { get, post, upload } from "./api.js";
import { $, h, icon, popover } from "./dom.js";
import { RENDERING, given } from "./fields.js";
import { watch } from "./jobs.js";
import { factsOf, refresh } from "./library.js";
import { say, told } from "./notices.js";
import player, { Live, landed, live, load, loadStems, mute, onPlayer, playLive, setLoop, side } from "./player.js";
import { prompt } from "./prompt.js";
import { joined, open, set, showRanges, state } from "./state.js";

const chosen = () => Object.fromEntries(Object.entries(given()).filter(([name]) => [...RENDERING, "seed"].includes(name)));

// ---- a track

export const renderPlan = () => state.plan && render({ plan: state.plan, ...chosen() }, state.view);
const renderPrompt = () => {
  if (prompt()) return render({ prompt: prompt(), ...given() }, null);
  $("#prompt").focus();
  return say("Say in words what the music should be.", { bad: true });
};

async function render(fields, view) {
  const job = await told(post("/v1/tracks", { ...fields, live: true }));
  if (!job) return;
  refresh();
  const stream = new Live(job, view?.seconds ?? given().seconds ?? state.options.default_seconds, view);
  set({ job });
  const wasPlaying = player.isPlaying;
  stream
    .read(() => {
      if (!wasPlaying && !player.isPlaying) playLive();
    })
    .catch(() => {}); // why nothing more comes is what the job says
  await finish(job, null);
}

// What a job has made, in the player; what plays goes on.
export async function finish(job, parent) {
  const end = await told(watch(job));
  if (state.job?.id === job.id) set({ job: null });
  refresh();
  if (end?.state !== "done" && live?.job.id === job.id) live.close();
  if (end?.state === "failed") say(end.error.message, { bad: true });
  if (end?.state !== "done") return null;
  for (const note of end.result.notes ?? []) say(note);
  const track = await told(get(`/v1/library/${job.id}`));
  if (!track) return null;
  if (player.mode === "live" && live?.job.id === job.id) {
    set({ other: null });
    await told(landed(track));
    await show(track);
    return track;
  }
  if (live?.job.id === job.id) live.close();
  if (player.mode === "live" && player.isPlaying) {
    say(`“${track.title}” is ready.`, { action: "Open", run: () => openTrack(track.id) });
    return track;
  }
  const isHeard = player.isPlaying && player.mode === "track"; // what plays is never taken away
  await show(track, parent ?? (isHeard ? state.track : null));
  return track;
}

// A track in the player, beside the one that it was made of.
export async function show(track, other = null) {
  const isHeard = player.isPlaying && player.mode === "track" && other && player.a?.track.id === other.id;
  set({ track, other, ranges: state.track?.view?.bars.length === track.view?.bars.length ? state.ranges : [] });
  const sound = await told(load(track, other));
  if (!sound) return;
  if (isHeard) {
    side("b"); // it goes on as it was; the new one is a key away
    say("Ready. B switches between the two.", { action: "Hear it", run: () => side("a") });
  }
  if (track.plan?.ending === "loop") setLoop([0, sound.buffer.duration]);
  set({ track });
  drawStems({});
  drawActions();
}

export async function openTrack(id, compare = false) {
  const track = await told(get(`/v1/library/${id}`));
  if (!track) return;
  if (compare && state.track) await show(state.track, track);
  else await show(track);
  if (!compare && track.plan && !state.plan) open({ plan: track.plan, view: track.view });
}

async function change(fields) {
  const parent = state.track;
  if (!parent) return null;
  const rendering = Object.fromEntries(Object.entries(given()).filter(([name]) => RENDERING.includes(name) && fieldOf(fields.change, name)));
  const job = await told(post("/v1/edits", { track: parent.id, ...rendering, ...fields }));
  return job && finish(job, parent);
}

// ---- forms of the changes

const range = (label, props) => {
  const out = h("output", {}, String(props.value));
  const input = h("input", { type: "range", "aria-label": label, ...props, oninput: () => (out.textContent = input.value) });
  input.value = props.value;
  return { input, line: h("label", { class: "line" }, h("span", { class: "grow" }, label), input, out) };
};
const fieldOf = (kind, name) => state.options.fields[kind][name];
const strengthOf = (kind) => range("Strength", { min: "0.05", max: fieldOf(kind, "strength").maximum, step: "0.05", value: fieldOf(kind, "strength").default, name: "strength" });

function form(anchor, title, lines, values, does) {
  const panel = popover(
    anchor,
    title,
    h("h3", {}, title),
    h(
      "form",
      { method: "dialog", onsubmit: (event) => (event.preventDefault(), panel.close(), does(values())) },
      h("div", { class: "stack" }, lines),
      h("div", { class: "row end" }, h("button", { class: "primary" }, title)),
    ),
  );
  panel.querySelector("input, select")?.focus();
  return panel;
}

const wanted = (values) => Object.fromEntries(Object.entries(values).filter(([, value]) => value !== "" && value !== null && value !== undefined));
const text = (name, label, hint) => h("input", { type: "text", name, "aria-label": label, placeholder: hint, spellcheck: "false" });

function repaint(anchor) {
  if (!state.ranges.length) return say("Choose where first: drag over the sound, or type it.", { bad: true });
  const words = text("prompt", "Words", "other words, such as solo piano");
  const chords = text("chords", "Chords", "chords, such as Am F C G");
  const energy = h("select", { "aria-label": "Energy", name: "energy" }, h("option", { value: "" }, "energy as it is"), [...Array(state.options.max_energy + 1).keys()].map((one) => h("option", { value: one }, `energy ${one}`)));
  const strength = strengthOf("repaint");
  const anew = h("input", { type: "checkbox", checked: false });
  form(
    anchor,
    `Repaint ${showRanges(state.ranges)}`,
    [words, chords, energy, strength.line, h("label", { class: "line" }, anew, "all of it anew, not only what changes")],
    () => wanted({ prompt: words.value.trim(), chords: chords.value.trim() ? chords.value.trim().split(/\s+/) : null, energy: energy.value === "" ? null : Number(energy.value), strength: Number(strength.input.value), seed: anew.checked ? Math.floor(Math.random() * 2 ** 32) : null }),
    (values) => change({ change: "repaint", [state.track.view ? "bars" : "seconds"]: state.ranges, ...values }),
  );
}

// Other notes in the chosen bars: cleared, written with another seed, and rendered there alone.
async function newNotes() {
  const { track, ranges } = state;
  if (!track?.plan) return say("This track has no plan.", { bad: true });
  const bars = ranges.length ? ranges : [[1, track.view.bars.length - 1]];
  const roles = track.view.parts.map((part) => part.role);
  const cleared = await told(post("/v1/plans/edits", { plan: track.plan, edits: bars.map((one) => ({ edit: "edit", bars: one, clear: roles })) }));
  const job = cleared && (await told(post("/v1/plans", { plan: cleared.plan, seed: Math.floor(Math.random() * 2 ** 32) })));
  const end = job && (await told(watch(job)));
  if (end?.state === "failed") say(end.error.message, { bad: true });
  if (end?.state !== "done") return null;
  const { plan } = await get(`/v1/library/${job.id}/views/plan.json`);
  return change({ change: "repaint", bars, plan: { ...plan, seed: track.plan.seed } });
}

// The bars in which the plan in the editor is another than the track's; null where the two have not the same bars.
function changedBars() {
  const [own, other] = [state.view, state.track?.view];
  if (!own || !other || own.bars.length !== other.bars.length || own.bars.some((at, i) => at !== other.bars[i])) return null;
  const facts = (view) => {
    const found = view.chords.map((chords) => [JSON.stringify(chords)]);
    for (const { first, last, label, energy, roles } of view.sections) for (let bar = first; bar <= last; bar += 1) found[bar - 1].push(`${label} ${energy} ${roles}`);
    for (const part of view.parts) {
      found.forEach((list, i) => list.push(`${part.role} ${part.program} ${part.known[i]}`));
      for (const note of part.notes) found[note[4] - 1].push(`${part.role} ${note.slice(2)}`);
    }
    return found.map((list) => list.sort().join("|"));
  };
  const [now, then] = [facts(own), facts(other)];
  return now.map((one, i) => (one === then[i] ? 0 : i + 1)).filter(Boolean);
}

function applyPlan() {
  const bars = changedBars();
  if (!bars?.length) return say(bars ? "The plan says nothing else than the track." : "The plan has other bars than the track: render it.", { bad: !bars });
  const ranges = joined(bars.map((bar) => [bar, bar]));
  set({ ranges });
  return change({ change: "repaint", bars: ranges, plan: state.plan });
}

function extend(anchor) {
  const bars = h("input", { type: "number", name: "bars", "aria-label": "Bars", min: fieldOf("extend", "bars").minimum, max: fieldOf("extend", "bars").maximum, required: true });
  bars.value = 4;
  const where = h("select", { name: "where", "aria-label": "Where" }, h("option", { value: "end" }, "at the end"), h("option", { value: "start" }, "before the start"));
  form(anchor, "Extend", [h("label", { class: "line" }, bars, "bars"), where], () => ({ bars: Number(bars.value), where: where.value }), (values) => change({ change: "extend", ...values }));
}

function loop(anchor) {
  const [range_] = state.ranges;
  if (range_) return change({ change: "loop", bars: range_ });
  const bars = h("input", { type: "number", name: "bars", "aria-label": "Bars", min: fieldOf("loop", "bars").minimum, max: fieldOf("loop", "bars").maximum, required: true });
  bars.value = Math.min(fieldOf("loop", "bars").default, (state.track?.view?.bars.length ?? 9) - 1);
  return form(anchor, "Loop", [h("label", { class: "line" }, bars, "bars that go round")], () => ({ bars: Number(bars.value) }), (values) => change({ change: "loop", ...values }));
}

function vary(anchor) {
  const facts = fieldOf("vary", "amount");
  const amount = range("Amount", { min: facts.minimum, max: facts.maximum, step: "0.05", value: facts.default, name: "amount" });
  form(anchor, "Vary", [amount.line], () => ({ amount: Number(amount.input.value) }), (values) => change({ change: "vary", ...values }));
}

function cover(anchor) {
  const words = h("input", { type: "text", name: "prompt", "aria-label": "Words", placeholder: "words, such as string quartet", required: true });
  const depth = h("select", { name: "depth", "aria-label": "Depth" }, fieldOf("cover", "depth").choices.map((one) => h("option", { value: one }, { plan: "keep its plan", codes: "keep more of it", latents: "stay near its sound" }[one] ?? one)));
  form(anchor, "Cover", [words, depth], () => ({ prompt: words.value.trim(), depth: depth.value }), (values) => change({ change: "cover", ...values }));
}

function layer(anchor) {
  const there = new Set(state.track?.view?.parts.map((part) => part.role) ?? []);
  const role = h("select", { name: "role", "aria-label": "Role" }, state.options.roles.filter((one) => !there.has(one)).map((one) => h("option", { value: one }, one)));
  const instrument = h("select", { name: "instrument", "aria-label": "Instrument" });
  const fill = () => instrument.replaceChildren(h("option", { value: "" }, "a usual instrument"), ...(state.options.instruments[role.value] ?? []).map((one) => h("option", { value: one.program }, one.name)));
  role.addEventListener("change", fill);
  fill();
  form(anchor, "Add a layer", [role, instrument], () => wanted({ role: role.value, instrument: instrument.value === "" ? null : Number(instrument.value) }), (values) => change({ change: "layer", ...values }));
}

// The spectrum and the width of another track, or of a file that is chosen or dropped.
async function style(anchor) {
  const first = h("option", { value: "" }, "like a track of the library");
  const reference = h("select", { name: "reference", "aria-label": "Reference", required: true }, first);
  const note = h("p", { class: "note", role: "status" }, "Its spectrum and stereo width are taken over; what is played stays. A file can be dropped here too.");
  const file = h("input", { type: "file", hidden: true, accept: "audio/*", tabindex: "-1", "aria-label": "A sound file as reference", onchange: () => (takeReference(file.files[0], reference, note), (file.value = "")) });
  const chooser = h("button", { type: "button", onclick: () => file.click() }, icon("plus"), "or like a sound file");
  const strength = strengthOf("style");
  const panel = form(anchor, "Style", [reference, chooser, file, note, strength.line], () => ({ reference: reference.value, strength: Number(strength.input.value) }), (values) => change({ change: "style", ...values }));
  panel.dataset.drop = "Drop a sound to take the style of";
  panel.addEventListener("drop", (event) => (event.preventDefault(), takeReference(event.dataTransfer?.files[0], reference, note)));
  const found = await told(get("/v1/library"));
  const others = (found?.tracks ?? []).filter((track) => track.state === "done" && track.id !== state.track.id);
  first.after(...others.map((track) => h("option", { value: track.id }, `${track.title} · ${factsOf(track)}`)));
  if (!others.length) first.textContent = "no other track is here yet";
}

async function takeReference(file, reference, note) {
  if (!file) return null;
  const tell = (message, bad = false) => {
    note.textContent = message;
    note.classList.toggle("bad", bad);
  };
  reference.value = "";
  tell(`Reading ${file.name} …`);
  const sound = await told(upload(file), (message) => tell(message, true));
  if (!sound) return null;
  if (sound.what === "score") return tell(`${file.name} is a score, and has no sound.`, true);
  refresh();
  reference.append(h("option", { value: sound.id }, file.name));
  reference.value = sound.id;
  return tell([`${file.name} is the reference.`, ...(sound.notes ?? [])].join(" "));
}

async function stems() {
  const job = await told(post("/v1/edits", { change: "stems", track: state.track.id }));
  const end = job && (await told(watch(job)));
  if (end?.state === "failed") say(end.error.message, { bad: true });
  if (end?.state !== "done") return;
  const files = Object.fromEntries(Object.entries(end.result.files).map(([name, url]) => [name.replace(/^\d+_|\.wav$/g, ""), url]));
  await told(loadStems(files));
  drawStems(files);
}

function drawStems(files) {
  const box = $("#stems");
  const roles = Object.keys(files);
  box.hidden = !roles.length;
  const button = (role, set_, letter, word) =>
    h("button", { class: "tiny", "data-stem": `${letter} ${role}`, "aria-pressed": String(set_.has(role)), "aria-label": `${word} ${role}`, onclick: () => mute(role, set_) }, letter);
  box.replaceChildren(
    ...roles.map((role) =>
      h("div", { class: "stem" }, h("span", { class: `dot ${role}` }), h("span", { class: "grow" }, role), button(role, player.silent, "M", "Mute stem"), button(role, player.solo, "S", "Solo stem"), h("a", { href: files[role], download: `${role}.wav`, "aria-label": `Save stem ${role}` }, icon("save"))),
    ),
  );
}

function exports_(anchor) {
  const format = h("select", { name: "format", "aria-label": "Format" }, state.options.exports.filter((one) => one !== "midi").map((one) => h("option", { value: one }, { zip: "zip: pack for a DAW", mid: "mid: MIDI", txt: "txt: chords" }[one] ?? one)));
  const withStems = h("input", { type: "checkbox", checked: fieldOf("export", "stems").default });
  form(anchor, "Export", [format, h("label", { class: "line" }, withStems, "stems in the pack")], () => ({ format: format.value, stems: withStems.checked }), async (values) => {
    const job = await told(post("/v1/exports", { track: state.track.id, ...values }));
    const end = job && (await told(watch(job)));
    if (end?.state === "failed") say(end.error.message, { bad: true });
    if (end?.state !== "done") return;
    for (const [name, url] of Object.entries(end.result.files)) {
      const link = h("a", { href: url, download: name });
      document.body.append(link);
      link.click();
      link.remove();
      say(`Saved ${name}`);
    }
  });
}

// ---- the buttons

const ACTIONS = { repaint, "new-notes": newNotes, extend, loop, vary, cover, layer, style, stems, export: exports_, apply: applyPlan };

export function drawActions() {
  const hasPlan = Boolean(state.track?.plan);
  for (const name of Object.keys(ACTIONS)) $(`#do-${name}`).disabled = !state.track || (!hasPlan && ["new-notes", "stems", "export", "loop", "extend", "apply"].includes(name));
  $("#plan-of-track").disabled = !hasPlan;
  for (const name of ["#render", "#preview"]) $(name).disabled = !state.plan;
}

export function start() {
  for (const [name, does] of Object.entries(ACTIONS)) $(`#do-${name}`).addEventListener("click", (event) => does(event.currentTarget));
  $("#render").addEventListener("click", renderPlan);
  $("#straight").addEventListener("click", renderPrompt);
  $("#side-a").addEventListener("click", () => side("a"));
  $("#side-b").addEventListener("click", () => side("b"));
  $("#plan-of-track").addEventListener("click", () => state.track?.plan && open({ plan: state.track.plan, view: state.track.view }));
  onPlayer("state", () => {
    for (const button of document.querySelectorAll("#stems button")) {
      const [letter, role] = button.dataset.stem.split(" ");
      button.setAttribute("aria-pressed", String((letter === "M" ? player.silent : player.solo).has(role)));
    }
  });
  drawActions();
}
