// Sounds of tracks in memory, decoded once: samples, loudness, peaks, and stems beside them.

import { bytes } from "./api.js";

const MOST = 6; // tracks that are kept decoded
const sounds = new Map();
let context;

export function audio() {
  context ??= new AudioContext({ latencyHint: "interactive" });
  return context;
}

// The file that is the sound of an entry of the library.
export const fileOf = (track) =>
  Object.entries(track.files).find(([name]) => /^(track|sound)\.(flac|wav|ogg|mp3)$/.test(name))?.[1];

export async function soundOf(track) {
  if (!sounds.has(track.id)) sounds.set(track.id, decoded(fileOf(track)));
  const found = sounds.get(track.id);
  sounds.delete(track.id);
  sounds.set(track.id, found); // the newest last
  for (const id of [...sounds.keys()].slice(0, -MOST)) sounds.delete(id);
  try {
    return await found;
  } catch (error) {
    sounds.delete(track.id);
    throw error;
  }
}

export async function decoded(url) {
  const buffer = await audio().decodeAudioData(await bytes(url));
  return { buffer, loudness: await loudnessOf(buffer) };
}

// Integrated loudness in LUFS (BS.1770: K-weighting, blocks of 400 ms, the absolute gate and the relative one).
async function loudnessOf(buffer) {
  const offline = new OfflineAudioContext(2, buffer.length, buffer.sampleRate);
  const source = offline.createBufferSource();
  source.buffer = buffer;
  const shelf = offline.createBiquadFilter();
  Object.assign(shelf, { type: "highshelf" });
  shelf.frequency.value = 1500;
  shelf.gain.value = 4;
  const pass = offline.createBiquadFilter();
  Object.assign(pass, { type: "highpass" });
  pass.frequency.value = 38;
  pass.Q.value = -6;
  source.connect(shelf).connect(pass).connect(offline.destination);
  source.start();
  const weighted = await offline.startRendering();
  const channels = [...Array(weighted.numberOfChannels).keys()].map((i) => weighted.getChannelData(i));
  const block = Math.round(0.4 * buffer.sampleRate);
  const powers = [];
  for (let start = 0; start + block <= buffer.length || start === 0; start += block >> 2) {
    let sum = 0;
    for (const samples of channels) {
      const stop = Math.min(start + block, samples.length);
      for (let i = start; i < stop; i += 1) sum += samples[i] ** 2;
    }
    powers.push(sum / block);
  }
  const level = (list) => -0.691 + 10 * Math.log10(list.reduce((a, b) => a + b, 0) / Math.max(1, list.length) + 1e-12);
  const loud = powers.filter((power) => level([power]) > -70);
  const gate = level(loud) - 10;
  return level(loud.filter((power) => level([power]) > gate));
}

// The lowest and highest sample of either channel in each of `n` equal stretches of the first so many seconds.
export function peaks(buffer, n, seconds) {
  const found = new Float32Array(2 * n);
  const left = buffer.getChannelData(0);
  const right = buffer.getChannelData(buffer.numberOfChannels - 1);
  const step = (seconds * buffer.sampleRate) / n;
  for (let i = 0; i < n; i += 1) {
    let [low, high] = [0, 0];
    const end = Math.min(left.length, (i + 1) * step);
    const stride = Math.max(1, Math.floor(step / 256));
    for (let j = Math.max(0, Math.floor(i * step)); j < end; j += stride) {
      low = Math.min(low, left[j], right[j]);
      high = Math.max(high, left[j], right[j]);
    }
    found[2 * i] = low;
    found[2 * i + 1] = high;
  }
  return found;
}
