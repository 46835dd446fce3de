// The sound of a track: waveform and spectrogram, with bars, sections and chords, the chosen bars, and where it plays.

import { $, clock, color, h, sized } from "./dom.js";
import { halves } from "./chords.js";
import player, { length, live, onPlayer, seek, time, use } from "./player.js";
import { barAt, joined, on, readRanges, readSeconds, sectionAt, set, showRanges, state } from "./state.js";
import { peaks } from "./sounds.js";

const worker = new Worker(new URL("./spectrum.js", import.meta.url), { type: "module" });
let spectra = { key: null };
const COLUMNS = 1000; // of a spectrogram

const isLive = () => player.mode === "live" && live;
const view = () => (isLive() ? live.view : state.track?.view) ?? null;
let shown = null; // what the ruler is of
const seconds = () => (isLive() ? live.total : (player.a?.sound.buffer.duration ?? view()?.seconds ?? 0));

export function start() {
  worker.onmessage = ({ data }) => {
    if (data.key !== spectra.key) return;
    spectra = data;
    drawSpectrum();
  };
  on("track job", draw);
  on("ranges", drawRanges);
  onPlayer("state", () => (isShown() ? (drawWave(), drawSides()) : draw()));
  onPlayer("live", drawWave);
  new ResizeObserver(() => (drawWave(), drawSpectrum())).observe($("#stage"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => (drawWave(), drawSpectrum()));
  choosing();
  requestAnimationFrame(move);
}

const isShown = () => shown === (isLive() ? live : state.track);

function draw() {
  shown = isLive() ? live : state.track;
  const isThere = Boolean(state.track || state.job);
  $("#sound-empty").hidden = isThere;
  $("#sound-body").hidden = !isThere;
  if (!isThere) return;
  const track = state.track;
  $("#sound-title").textContent = isLive() || !track ? "Rendering" : track.title;
  $("#sound-facts").textContent = isLive() || !track ? "" : (track.summary ?? clock(track.seconds));
  drawRuler();
  drawRanges();
  drawSides();
  const buffer = player.a?.track.id === track?.id ? player.a?.sound.buffer : null;
  if (buffer) analyse(buffer, track.id);
  drawWave();
  drawSpectrum();
}

function analyse(buffer, key) {
  if (spectra.key === key) return;
  spectra = { key };
  const [left, right] = [buffer.getChannelData(0), buffer.getChannelData(buffer.numberOfChannels - 1)];
  const samples = left.map((value, i) => (value + right[i]) / 2);
  worker.postMessage({ samples, rate: buffer.sampleRate, columns: COLUMNS, key }, [samples.buffer]);
}

function drawRuler() {
  const [ruler, strip, chords] = [$("#sound-ruler"), $("#sound-sections"), $("#sound-chords")];
  for (const box of [ruler, strip, chords]) box.replaceChildren();
  const seen = view();
  if (!seen || seen.bars.length < 2) return;
  const total = seconds() || seen.seconds;
  const percent = (value) => `${(100 * value) / total}%`;
  const n = seen.bars.length - 1;
  const every = n > 160 ? 16 : n > 80 ? 8 : n > 32 ? 4 : n > 16 ? 2 : 1;
  for (let bar = 1; bar <= n; bar += every) {
    const mark = h("span", { class: "bar-number" }, `${bar}`);
    mark.style.left = percent(seen.bars[bar - 1]);
    ruler.append(mark);
  }
  for (const section of seen.sections) {
    const block = h("button", { class: `section e${section.energy ?? 3}`, "aria-label": `Choose ${section.label ?? "section"}, bars ${section.first} to ${section.last}`, onclick: (event) => choose([section.first, section.last], event.ctrlKey || event.metaKey || event.shiftKey) }, h("span", { class: "section-name" }, section.label ?? "section"));
    Object.assign(block.style, { left: percent(seen.bars[section.first - 1]), width: percent(seen.bars[section.last] - seen.bars[section.first - 1]) });
    strip.append(block);
  }
  seen.chords.forEach((names, i) => {
    if (!names) return;
    const cell = h("span", { class: names.length > 1 ? "chord two" : "chord" }, ...halves(names));
    Object.assign(cell.style, { left: percent(seen.bars[i]), width: percent(seen.bars[i + 1] - seen.bars[i]) });
    chords.append(cell);
  });
}

function drawWave() {
  const canvas = $("#wave");
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (!width) return;
  const context = sized(canvas, width, height);
  const middle = height / 2;
  const total = seconds();
  if (isLive()) {
    context.fillStyle = color("accent");
    for (const { start, stop, peak } of live.peaks) {
      const [left, right] = [(start / total) * width, (stop / total) * width];
      const size = Math.max(1, Math.min(1, peak) * (height - 6));
      context.fillRect(left, middle - size / 2, Math.max(1, right - left - 0.5), size);
    }
    return;
  }
  const one = player.side === "b" && player.b ? player.b : player.a;
  if (!one || one.track.id !== (player.side === "b" ? state.other : state.track)?.id) return;
  const { buffer } = one.sound;
  const found = peaks(buffer, Math.round(width), total);
  context.fillStyle = color("wave");
  for (let i = 0; i < found.length / 2; i += 1) {
    const [low, high] = [found[2 * i], found[2 * i + 1]];
    context.fillRect(i, middle - high * (middle - 2), 1, Math.max(1, (high - low) * (middle - 2)));
  }
}

function drawSpectrum() {
  const canvas = $("#spectrum");
  const width = canvas.clientWidth;
  if (!width) return;
  const context = canvas.getContext("2d");
  if (!spectra.found || spectra.key !== state.track?.id || isLive()) {
    sized(canvas);
    return;
  }
  const { found, columns, rows } = spectra;
  Object.assign(canvas, { width: columns, height: rows });
  const image = context.createImageData(columns, rows);
  const ramp = palette();
  for (let column = 0; column < columns; column += 1) {
    for (let row = 0; row < rows; row += 1) {
      const to = 4 * ((rows - 1 - row) * columns + column);
      image.data.set(ramp[found[column * rows + row]], to);
    }
  }
  context.putImageData(image, 0, 0);
}

// 256 colours from the ground over the accent to the ink.
function palette() {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: 256, height: 1 });
  const context = canvas.getContext("2d");
  const gradient = context.createLinearGradient(0, 0, 256, 0);
  for (const [at, name] of [[0.12, "ground"], [0.5, "spectrum-1"], [0.78, "spectrum-2"], [1, "spectrum-3"]]) gradient.addColorStop(at, color(name));
  context.fillStyle = gradient;
  context.fillRect(0, 0, 256, 1);
  const { data } = context.getImageData(0, 0, 256, 1);
  return Array.from({ length: 256 }, (_, i) => data.slice(4 * i, 4 * i + 4));
}

function move() {
  const cursor = $("#sound-cursor");
  const isShown = player.mode !== "plan" && seconds() > 0;
  cursor.hidden = !isShown;
  const now = time();
  if (isShown) cursor.style.setProperty("--at", now / seconds());
  const of = player.mode === "plan" ? state.view : view();
  const total = player.mode === "plan" ? (state.view?.seconds ?? 0) : length();
  $("#time").textContent = `${clock(now)} / ${clock(total)}`;
  if (of && of.bars.length > 1) {
    const bar = barAt(of, now);
    const chord = of.chords[bar - 1]?.join(" ") ?? "";
    $("#where").textContent = `bar ${bar} · ${sectionAt(of, bar)?.label ?? ""} · ${chord}`;
  } else $("#where").textContent = "";
  requestAnimationFrame(move);
}

// ---- the chosen bars

function choose(range, isMore) {
  set({ ranges: isMore ? joined([...state.ranges, range]) : joined([range]) });
}

function drawRanges() {
  const seen = view();
  const box = $("#sound-ranges");
  const total = seconds() || seen?.seconds || 1;
  box.replaceChildren(
    ...state.ranges.map(([first, last]) => {
      const mark = h("div", { class: "range" });
      const [from, to] = seen ? [seen.bars[first - 1], seen.bars[last]] : [first, last];
      Object.assign(mark.style, { left: `${(100 * from) / total}%`, width: `${(100 * (to - from)) / total}%` });
      return mark;
    }),
  );
  $("#bars-label").textContent = seen ? "Bars" : "Seconds";
  if (document.activeElement !== $("#bars")) $("#bars").value = showRanges(state.ranges);
}

function choosing() {
  const stage = $("#stage");
  let from = null;
  let before = [];
  const bar = (event) => {
    const box = stage.getBoundingClientRect();
    const at = Math.max(0, Math.min(1, (event.clientX - box.left) / box.width)) * seconds();
    return { at, bar: view() && view().bars.length > 1 ? barAt(view(), at) : null };
  };
  stage.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    from = { ...bar(event), x: event.clientX };
    before = event.ctrlKey || event.metaKey || event.shiftKey ? state.ranges : [];
    from.isMore = before.length > 0 || event.ctrlKey || event.metaKey || event.shiftKey;
    stage.setPointerCapture(event.pointerId);
  });
  stage.addEventListener("pointermove", (event) => {
    if (!from || Math.abs(event.clientX - from.x) < 5) return;
    const { at, bar: to } = bar(event);
    if (!view()) return set({ ranges: [...before, [from.at, at].sort((a, b) => a - b).map((one) => Math.round(10 * one) / 10)] });
    if (from.bar) set({ ranges: joined([...before, [Math.min(from.bar, to), Math.max(from.bar, to)]]) });
  });
  stage.addEventListener("pointerup", (event) => {
    if (from && Math.abs(event.clientX - from.x) < 5) {
      if (from.isMore && from.bar) choose([from.bar, from.bar], true);
      else goTo(from.at);
    }
    from = null;
  });
  stage.addEventListener("keydown", (event) => {
    const seen = view();
    if (!seen || seen.bars.length < 2) return;
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const n = seen.bars.length - 1;
    if (step) {
      const now = barAt(seen, time() + 0.01);
      const next = Math.max(1, Math.min(n, now + step));
      if (event.shiftKey) choose([Math.min(now, next), Math.max(now, next)], true);
      goTo(seen.bars[next - 1]);
    } else if (event.key === "Escape") set({ ranges: [] });
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  $("#bars").addEventListener("change", (event) => {
    const n = view() ? view().bars.length - 1 : Math.round(10 * seconds()) / 10;
    const found = view() ? readRanges(event.target.value, n) : readSeconds(event.target.value, n);
    event.target.setCustomValidity(found ? "" : view() ? `Bars such as 3-4, 7, inside 1-${n}` : `Seconds such as 3.5-8, inside 0-${n}`);
    event.target.reportValidity();
    if (found) set({ ranges: found });
  });
  $("#bars").addEventListener("input", (event) => event.target.setCustomValidity(""));
}

function goTo(at) {
  use("track");
  seek(at);
}

function drawSides() {
  const has = Boolean(player.b);
  for (const name of ["a", "b"]) {
    const button = $(`#side-${name}`);
    button.disabled = name === "b" && !has;
    button.setAttribute("aria-pressed", String(player.side === name));
  }
  $("#sides-facts").textContent = has ? `A ${state.track?.title ?? ""} · B ${state.other?.title ?? ""}, equally loud` : "";
  const stage = $("#stage");
  stage.setAttribute("aria-valuemax", Math.round(seconds()));
  stage.setAttribute("aria-valuenow", Math.round(time()));
  stage.setAttribute("aria-valuetext", clock(time()));
}

