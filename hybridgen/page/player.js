// One player for all: a plan by the small synthesiser, a track, two tracks side by side, stems, a render under way.
// Nothing that is rendered stops what plays; a track that is ready waits until somebody wants to hear it.

import { body } from "./api.js";
import { Preview } from "./synth.js";
import { audio, decoded, soundOf } from "./sounds.js";

const events = new EventTarget();
export const onPlayer = (name, f) => events.addEventListener(name, f);
const tell = (name) => events.dispatchEvent(new Event(name));

const player = {
  mode: "plan", // what the space bar starts: "plan", "track" or "live"
  isPlaying: false,
  side: "a", // which of two tracks is heard
  a: null, // { sound, gain }
  b: null,
  stems: null, // role -> buffer
  silent: new Set(), // roles that are muted in the preview and among stems
  solo: new Set(),
  loop: null, // [start, stop] in seconds
};
export default player;

let preview;
let master;
let nodes = []; // what sounds now
let begun = 0; // of the audio clock, at second 0 of the track
let at = 0; // seconds, while nothing plays
let view = null; // of the plan that is played

let meter;

function output() {
  if (!master) {
    master = audio().createGain();
    meter = audio().createAnalyser();
    master.connect(meter).connect(audio().destination);
  }
  return master;
}

// The largest sample of what is heard at the moment, 0 to 1 and above.
export function level() {
  if (!meter) return 0;
  const samples = new Float32Array(meter.fftSize);
  meter.getFloatTimeDomainData(samples);
  return samples.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}

export function setVolume(value) {
  output().gain.setTargetAtTime(value, audio().currentTime, 0.02);
}

function synth() {
  preview ??= new Preview(audio(), output());
  return preview;
}

export function touch(role, pitch, velocity) {
  audio().resume();
  synth().touch(role, pitch, velocity);
}

export function time() {
  if (!player.isPlaying) return at;
  if (player.mode === "plan") return synth().time;
  const now = audio().currentTime - begun;
  if (player.mode === "live") return Math.max(0, Math.min(now, live.seconds));
  if (player.loop && now >= player.loop[1]) {
    const [start, stop] = player.loop;
    return start + ((now - start) % (stop - start));
  }
  return Math.max(0, Math.min(now, length()));
}

export function length() {
  if (player.mode === "plan") return view?.seconds ?? 0;
  if (player.mode === "live") return live?.total ?? 0;
  return player.a?.sound.buffer.duration ?? 0;
}

export function pause() {
  if (!player.isPlaying) return;
  at = time();
  preview?.stop();
  for (const { source } of nodes) {
    source.onended = null;
    source.stop();
  }
  nodes = [];
  if (player.mode === "live") live.stop();
  player.isPlaying = false;
  tell("state");
}

export function seek(seconds) {
  const was = player.isPlaying;
  pause();
  at = Math.max(0, Math.min(seconds, length()));
  if (was) play();
  tell("time");
}

export async function play() {
  if (player.isPlaying) return;
  if (audio().state !== "running") await audio().resume();
  if (at >= length() - 0.02) at = player.loop?.[0] ?? 0;
  if (player.mode === "plan") {
    if (!view) return;
    synth().start(view, at, heardOut(view.parts.map((part) => part.role)), ended);
  } else if (player.mode === "live") {
    live.play();
  } else {
    if (!player.a) return;
    start();
  }
  player.isPlaying = true;
  tell("state");
}

export const toggle = () => (player.isPlaying ? pause() : play());

function ended() {
  nodes = [];
  player.isPlaying = false;
  at = 0;
  tell("state");
}

// ---- a plan

export function showPlan(seen) {
  view = seen;
  if (player.mode !== "plan") return;
  if (player.isPlaying) {
    const where = time();
    pause();
    at = Math.min(where, view.seconds);
    play();
  } else at = Math.min(at, view?.seconds ?? 0);
}

export function use(mode) {
  if (player.mode === mode) return;
  pause();
  player.mode = mode;
  at = 0;
  tell("state");
}

export async function playPlan(from = 0) {
  pause();
  player.mode = "plan";
  at = from;
  await play();
}

function heardOut(roles) {
  const others = player.solo.size ? roles.filter((role) => !player.solo.has(role)) : [];
  return new Set([...player.silent, ...others]);
}

export function mute(role, set = player.silent) {
  if (set.has(role)) set.delete(role);
  else set.add(role);
  if (player.mode === "plan" && player.isPlaying) showPlan(view);
  balance();
  tell("state");
}

// ---- tracks

function start() {
  const context = audio();
  const when = context.currentTime + 0.03;
  begun = when - at;
  nodes = [];
  const add = (buffer, name, level) => {
    const source = context.createBufferSource();
    const gain = context.createGain();
    gain.gain.value = level;
    source.buffer = buffer;
    if (player.loop) Object.assign(source, { loop: true, loopStart: player.loop[0], loopEnd: player.loop[1] });
    source.connect(gain).connect(output());
    source.start(when, Math.min(at, buffer.duration));
    nodes.push({ source, gain, name });
  };
  if (player.stems) for (const [role, buffer] of Object.entries(player.stems)) add(buffer, `stem ${role}`, levelOf(`stem ${role}`));
  else add(player.a.sound.buffer, "a", levelOf("a"));
  if (player.b) add(player.b.sound.buffer, "b", levelOf("b"));
  const longest = nodes.reduce((one, other) => (one.source.buffer.duration >= other.source.buffer.duration ? one : other));
  longest.source.onended = () => player.isPlaying && ended();
}

// Two tracks are compared as loud as the softer of them.
function levelOf(name) {
  const equal = (side) => {
    if (!player.a || !player.b) return 1;
    const softer = Math.min(player.a.sound.loudness, player.b.sound.loudness);
    return 10 ** ((softer - player[side].sound.loudness) / 20);
  };
  if (name === "b") return player.side === "b" ? equal("b") : 0;
  if (player.side === "b") return 0;
  if (name === "a") return equal("a");
  return heardOut(Object.keys(player.stems)).has(name.slice(5)) ? 0 : equal("a");
}

// What sounds at the moment, and by how much it is turned down.
export const heard = () => Object.fromEntries(nodes.map(({ name }) => [name, levelOf(name)]));

function balance() {
  for (const { gain, name } of nodes) gain.gain.setTargetAtTime(levelOf(name), audio().currentTime, 0.012);
}

export function side(which) {
  if (which === "b" && !player.b) return;
  player.side = which;
  balance();
  tell("state");
}

// The track that is played from now on; what plays goes on at the same second.
export async function load(track, other = null) {
  const [a, b] = await Promise.all([soundOf(track), other ? soundOf(other) : null]);
  if (player.mode === "track" && player.a?.track.id === track.id && player.b?.track.id === other?.id) return a;
  const was = player.isPlaying && player.mode === "track";
  const where = player.mode === "track" ? time() : 0;
  if (player.mode !== "plan" || !player.isPlaying) pause();
  const keeps = player.isPlaying; // a plan that plays is left alone
  player.a = { track, sound: a };
  player.b = b && { track: other, sound: b };
  player.stems = null;
  if (!(was && b && player.loop?.[1] <= a.buffer.duration)) player.loop = null; // what goes round goes on doing so
  if (!b) player.side = "a";
  if (!keeps) {
    player.mode = "track";
    at = Math.min(where, a.buffer.duration);
    if (was) await play();
  }
  tell("state");
  return a;
}

export async function loadStems(files) {
  const found = await Promise.all(Object.entries(files).map(async ([role, url]) => [role, (await decoded(url)).buffer]));
  const was = player.isPlaying;
  const where = time();
  pause();
  player.mode = "track";
  player.side = "a";
  player.stems = Object.fromEntries(found);
  at = where;
  if (was) await play();
  tell("state");
}

export function setLoop(span) {
  player.loop = span;
  if (player.isPlaying && player.mode === "track") seek(span && (time() < span[0] || time() > span[1]) ? span[0] : time());
  tell("state");
}

// ---- a render under way: samples as they come, one buffer after the other on the audio clock, without a gap

export let live = null;
export const lives = new Map(); // of each job whose sound is still read

export class Live {
  // view: of the plan that is rendered, where it is known; total: seconds that it will have
  constructor(job, total, view) {
    Object.assign(this, { job, total, view, seconds: 0, buffers: [], sources: [], isHeard: false, rate: 44100, peaks: [] });
    this.stopping = new AbortController();
    live = this;
    lives.set(job.id, this);
  }

  async read(first) {
    const reader = (await body(`/v1/jobs/${this.job.id}/live.wav`, this.stopping.signal)).getReader();
    let rest = new Uint8Array();
    let isHead = true;
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const data = new Uint8Array(rest.length + value.length);
      data.set(rest);
      data.set(value, rest.length);
      let from = 0;
      if (isHead) {
        if (data.length < 44) {
          rest = data;
          continue;
        }
        this.rate = new DataView(data.buffer).getUint32(24, true);
        [isHead, from] = [false, 44];
      }
      const whole = from + ((data.length - from) & ~3);
      if (whole > from) this.#add(data.slice(from, whole), first);
      rest = data.slice(whole);
    }
  }

  #add(data, first) {
    const samples = new Int16Array(data.buffer);
    const n = samples.length / 2;
    const buffer = audio().createBuffer(2, n, this.rate);
    let peak = 0;
    for (const channel of [0, 1]) {
      const floats = buffer.getChannelData(channel);
      for (let i = 0; i < n; i += 1) floats[i] = samples[2 * i + channel] / 32768;
      for (let i = 0; i < n; i += 16) peak = Math.max(peak, Math.abs(floats[i]));
    }
    this.buffers.push({ buffer, start: this.seconds });
    this.peaks.push({ start: this.seconds, stop: this.seconds + buffer.duration, peak });
    const isFirst = this.seconds === 0;
    this.seconds += buffer.duration;
    if (this.isHeard) this.#schedule(this.buffers.at(-1));
    if (isFirst) first?.();
    tell("live");
  }

  play() {
    this.isHeard = true;
    begun = audio().currentTime + 0.05 - at;
    for (const one of this.buffers) if (one.start + one.buffer.duration > at) this.#schedule(one);
  }

  #schedule({ buffer, start }) {
    const source = audio().createBufferSource();
    source.buffer = buffer;
    source.connect(output());
    let when = begun + start;
    const now = audio().currentTime;
    if (when + buffer.duration <= now) {
      begun += now - when + 0.05; // it came too late: all that follows waits for it
      when = begun + start;
    }
    source.start(Math.max(when, now), Math.max(0, now - when));
    this.sources.push(source);
  }

  stop() {
    this.isHeard = false;
    for (const source of this.sources) source.stop();
    this.sources = [];
  }

  // Nothing more will come of it; what is heard of it ends.
  close() {
    this.stopping.abort();
    lives.delete(this.job.id);
    if (live !== this) return;
    if (player.mode === "live") use("track");
    live = null;
  }
}

export async function playLive() {
  pause();
  player.mode = "live";
  at = 0;
  await play();
}

// What is heard of a render goes over to the finished track at the same second.
export async function landed(track) {
  const isHeard = player.mode === "live" && player.isPlaying;
  const sound = await soundOf(track);
  const where = player.mode === "live" ? time() : 0;
  if (player.mode === "live") {
    pause();
    player.mode = "track";
    player.a = { track, sound };
    Object.assign(player, { b: null, side: "a", stems: null, loop: null });
    at = where < sound.buffer.duration - 0.05 ? where : 0;
    if (isHeard) await play();
  }
  live?.close();
  tell("state");
}
