// The notes of one role: drawn, moved, made and removed, by pointer or by keys.

import { $, color, sized } from "./dom.js";
import { told } from "./notices.js";
import { touch } from "./player.js";
import { edit, state } from "./state.js";

const GRID = 120; // ticks: a sixteenth
const NAMES = ["C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B"];
const isBlack = (pitch) => [1, 3, 6, 8, 10].includes(pitch % 12);
const isDrums = () => ["drums", "percussion"].includes(state.role);
let lines = []; // pitches, the highest first
let chosen = null; // { bar, tick, pitch }
let drag = null;

const part = () => state.view?.parts.find((one) => one.role === state.role);
const notes = () => (part()?.notes ?? []).map(([, , pitch, velocity, bar, tick, length]) => ({ pitch, velocity, bar, tick, length }));
const same = (one, other) => one && other && one.bar === other.bar && one.tick === other.tick && one.pitch === other.pitch;
const nameOf = (pitch) => (isDrums() ? (part()?.names[pitch] ?? `${pitch}`) : `${NAMES[pitch % 12]}${Math.floor(pitch / 12) - 1}`);

// Seconds of a place in the score, without swing, so that what stands on the grid is drawn on it.
function seconds(bar, tick) {
  const { bars, bar_ticks: ticks } = state.view;
  const n = bars.length - 1;
  const absolute = (bar - 1) * ticks + tick;
  const i = Math.min(n - 1, Math.floor(absolute / ticks));
  return bars[i] + ((absolute - i * ticks) / ticks) * (bars[i + 1] - bars[i]);
}

function placeAt(time) {
  const { bars, bar_ticks: ticks } = state.view;
  let i = bars.findIndex((start, at) => at + 1 < bars.length && time < bars[at + 1]);
  if (i < 0) i = bars.length - 2;
  return { bar: i + 1, tick: Math.max(0, ((time - bars[i]) / (bars[i + 1] - bars[i])) * ticks) };
}

const snap = (tick) => Math.round(tick / GRID) * GRID;

export function drawRoll() {
  const canvas = $("#roll");
  const box = canvas.parentElement;
  if (!state.view || !part()) return;
  const all = notes();
  if (isDrums()) lines = [...new Set([...all.map((note) => note.pitch), 36, 38, 42])].sort((a, b) => b - a);
  else {
    const pitches = all.length ? all.map((note) => note.pitch) : [60];
    const [low, high] = [Math.max(0, Math.min(...pitches) - 3), Math.min(127, Math.max(...pitches) + 3)];
    lines = Array.from({ length: high - low + 1 }, (_, i) => high - i);
  }
  const room = $("#timeline").clientHeight - $("#plan-rows").offsetTop - $("#plan-rows").offsetHeight - 2;
  const size = Math.max(8, Math.min(20, Math.floor(room / lines.length)));
  const height = size * lines.length;
  box.style.height = `${height}px`;
  const width = box.clientWidth;
  if (!width) return;
  const context = sized(canvas, width, height);
  const x = (time) => (time / state.view.seconds) * width;
  const [ink, own] = [color("ink"), color(state.role)];
  lines.forEach((pitch, i) => {
    context.fillStyle = ink;
    context.globalAlpha = isDrums() ? (i % 2 ? 0.035 : 0) : isBlack(pitch) ? 0.055 : 0;
    context.fillRect(0, i * size, width, size);
    if (pitch % 12 === 0 && !isDrums()) {
      context.globalAlpha = 0.16;
      context.fillRect(0, (i + 1) * size - 0.5, width, 0.5);
    }
  });
  context.fillStyle = ink;
  for (const [i, time] of state.view.bars.entries()) {
    context.globalAlpha = i % 4 ? 0.1 : 0.24;
    context.fillRect(x(time), 0, 1, height);
  }
  context.globalAlpha = 0.05;
  for (const time of state.view.beats) context.fillRect(x(time), 0, 1, height);
  for (const [i, known] of part().known.entries()) {
    if (known) continue;
    context.globalAlpha = 0.05;
    context.fillRect(x(state.view.bars[i]), 0, x(state.view.bars[i + 1]) - x(state.view.bars[i]), height);
  }
  for (const note of all) {
    const shown = drag && same(note, drag.note) ? drag.now : note;
    const row = lines.indexOf(shown.pitch);
    if (row < 0) continue;
    const left = x(seconds(shown.bar, shown.tick));
    const right = x(seconds(shown.bar, shown.tick + shown.length));
    context.globalAlpha = 0.45 + (0.55 * shown.velocity) / 127;
    context.fillStyle = own;
    context.beginPath();
    context.roundRect(left, row * size + 0.5, Math.max(2.5, right - left - 1), size - 1, Math.min(2.5, size / 3));
    context.fill();
    if (same(note, chosen)) {
      context.globalAlpha = 1;
      context.strokeStyle = ink;
      context.lineWidth = 1.5;
      context.stroke();
    }
  }
  context.globalAlpha = 1;
  drawKeys(size);
}

function drawKeys(size) {
  const canvas = $("#roll-keys");
  const width = canvas.parentElement.clientWidth;
  const height = size * lines.length;
  canvas.style.height = `${height}px`;
  const context = sized(canvas, width, height);
  context.font = `${Math.min(10, size)}px system-ui`;
  context.textAlign = "right";
  context.textBaseline = "middle";
  context.fillStyle = color("faint");
  lines.forEach((pitch, i) => {
    if (isDrums() || pitch % 12 === 0 || size > 11) context.fillText(nameOf(pitch), width - 6, (i + 0.5) * size);
  });
}

// ---- changes: the bars that a change touches are written anew

function barText(list) {
  return list.map((note) => `${note.pitch} ${note.tick} ${note.length} v${note.velocity}`).join(", ");
}

async function rewrite(from, to) {
  const all = notes().filter((note) => !same(note, from));
  if (to) all.push(to);
  const bars = new Set([from?.bar, to?.bar].filter(Boolean));
  const edits = [...bars].map((bar) => ({ edit: "edit", bars: [bar, bar], notes: { [state.role]: barText(all.filter((note) => note.bar === bar)) } }));
  chosen = to;
  await told(edit(...edits));
  drag = null;
  drawRoll();
  tell();
}

function fits(note) {
  const { bars, bar_ticks: ticks } = state.view;
  let { bar, tick } = note;
  while (tick < 0 && bar > 1) [bar, tick] = [bar - 1, tick + ticks];
  while (tick >= ticks && bar < bars.length - 1) [bar, tick] = [bar + 1, tick - ticks];
  const pitch = Math.max(0, Math.min(127, note.pitch));
  return { ...note, bar, tick: Math.max(0, Math.min(ticks - 1, Math.round(tick))), pitch, length: Math.max(20, note.length) };
}

const isTaken = (to, from) => notes().some((note) => same(note, to) && !same(note, from));

function tell() {
  const text = chosen ? `${nameOf(chosen.pitch)}, bar ${chosen.bar}, beat ${(1 + chosen.tick / 480).toFixed(2).replace(/\.?0+$/, "")}, velocity ${chosen.velocity}` : `${notes().length} notes`;
  $("#roll-note").textContent = text;
}

function hit(event) {
  const box = $("#roll").getBoundingClientRect();
  const time = ((event.clientX - box.left) / box.width) * state.view.seconds;
  const size = box.height / lines.length;
  const pitch = lines[Math.max(0, Math.min(lines.length - 1, Math.floor((event.clientY - box.top) / size)))];
  const slack = (3 / box.width) * state.view.seconds;
  const note = notes().find((one) => one.pitch === pitch && seconds(one.bar, one.tick) - slack <= time && time <= seconds(one.bar, one.tick + one.length) + slack);
  const isEnd = note && time > seconds(note.bar, note.tick + note.length) - (5 / box.width) * state.view.seconds;
  return { time, pitch, note, isEnd };
}

export function startRoll() {
  const canvas = $("#roll");
  canvas.addEventListener("pointerdown", (event) => {
    if (!part()) return;
    const { note, isEnd, time, pitch } = hit(event);
    chosen = note ?? null;
    if (note) {
      touch(state.role, note.pitch, note.velocity);
      canvas.setPointerCapture(event.pointerId);
      drag = { note, now: note, isEnd, from: placeAt(time), pitch };
    }
    drawRoll();
    tell();
  });
  canvas.addEventListener("pointermove", (event) => {
    const found = state.view && part() ? hit(event) : null;
    if (!drag) {
      canvas.style.cursor = found?.note ? (found.isEnd ? "ew-resize" : "grab") : "crosshair";
      return;
    }
    const { bar_ticks: ticks } = state.view;
    const here = placeAt(found.time);
    const moved = snap((here.bar - drag.from.bar) * ticks + here.tick - drag.from.tick);
    const { note } = drag;
    const before = drag.now.pitch;
    if (drag.isEnd) drag.now = fits({ ...note, length: Math.max(GRID / 2, note.length + moved) });
    else drag.now = fits({ ...note, tick: note.tick + moved, pitch: note.pitch + (isDrums() ? found.pitch - note.pitch : found.pitch - drag.pitch) });
    if (drag.now.pitch !== before) touch(state.role, drag.now.pitch, note.velocity);
    drawRoll();
  });
  canvas.addEventListener("pointerup", () => {
    const done = drag;
    if (!done) return;
    const isSame = same(done.note, done.now) && done.note.length === done.now.length;
    if (isSame || isTaken(done.now, done.note)) {
      drag = null;
      drawRoll();
    } else rewrite(done.note, done.now);
  });
  canvas.addEventListener("dblclick", (event) => {
    const { note, time, pitch } = hit(event);
    if (note) return rewrite(note, null);
    const { bar, tick } = placeAt(time);
    const made = fits({ bar, tick: Math.floor(tick / GRID) * GRID, pitch, length: isDrums() ? 120 : 240, velocity: 80 });
    if (!isTaken(made)) rewrite(null, made).then(() => touch(state.role, pitch));
  });
  canvas.addEventListener("keydown", keys);
  canvas.addEventListener("focus", tell);
}

function keys(event) {
  const all = notes().sort((a, b) => a.bar - b.bar || a.tick - b.tick || b.pitch - a.pitch);
  const moves = { ArrowLeft: [-GRID, 0], ArrowRight: [GRID, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  const index = all.findIndex((note) => same(note, chosen));
  if (event.ctrlKey || event.metaKey) return;
  if (event.key === "." || event.key === ",") {
    const next = all[index < 0 ? 0 : (index + (event.key === "." ? 1 : all.length - 1)) % all.length];
    chosen = next ?? null;
    if (chosen) touch(state.role, chosen.pitch, chosen.velocity);
    drawRoll();
    tell();
  } else if (moves[event.key] && chosen) {
    let [ticks, pitch] = moves[event.key];
    if (pitch && isDrums()) {
      const row = lines.indexOf(chosen.pitch) - pitch;
      pitch = (lines[row] ?? chosen.pitch) - chosen.pitch;
    } else if (pitch && event.shiftKey) pitch *= 12;
    const from = chosen;
    const to = event.shiftKey && ticks ? fits({ ...from, length: from.length + ticks }) : fits({ ...from, tick: from.tick + ticks, pitch: from.pitch + pitch });
    if (!isTaken(to, from)) rewrite(from, to).then(() => touch(state.role, to.pitch, to.velocity));
  } else if ((event.key === "Delete" || event.key === "Backspace") && chosen) rewrite(chosen, null);
  else if (event.key === "n") {
    const base = chosen ? { ...chosen, tick: chosen.tick + chosen.length } : { bar: 1, tick: 0, pitch: isDrums() ? 36 : 60, length: 240, velocity: 80 };
    const made = fits(base);
    if (!isTaken(made)) rewrite(null, made);
  } else return;
  event.preventDefault();
  event.stopPropagation();
}
