// A small synthesiser that plays a plan before anything is rendered: enough to hear chords, notes and groove.

const AHEAD = 0.35; // seconds that are handed to the audio clock in advance
const EVERY = 90; // milliseconds between two looks at what comes next

// role -> how it sounds: waveform, filter in multiples of the pitch, attack and release in seconds, level
const VOICES = {
  bass: { wave: "sawtooth", cut: 5, attack: 0.005, release: 0.06, level: 0.5, decay: 0.5 },
  keys: { wave: "triangle", cut: 9, attack: 0.004, release: 0.18, level: 0.34, decay: 0.35 },
  guitar: { wave: "sawtooth", cut: 6, attack: 0.003, release: 0.12, level: 0.2, decay: 0.3 },
  strings: { wave: "sawtooth", cut: 4, attack: 0.09, release: 0.25, level: 0.16, twin: 6 },
  winds: { wave: "square", cut: 4, attack: 0.04, release: 0.1, level: 0.16 },
  lead: { wave: "sawtooth", cut: 7, attack: 0.01, release: 0.12, level: 0.26, twin: 4 },
  pad: { wave: "sawtooth", cut: 3, attack: 0.25, release: 0.6, level: 0.12, twin: 9 },
};
// key of the General MIDI percussion map -> kind of drum
const kind = (key) =>
  key <= 36 ? "kick" : [38, 39, 40, 37].includes(key) ? "snare" : [42, 44].includes(key) ? "hat"
  : [46].includes(key) ? "open" : [49, 51, 52, 53, 55, 57, 59].includes(key) ? "cymbal"
  : [41, 43, 45, 47, 48, 50].includes(key) ? "tom" : key >= 60 && key <= 66 ? "conga" : "shake";

export class Preview {
  constructor(context, output) {
    this.context = context;
    this.bus = context.createGain();
    this.bus.gain.value = 0.5;
    const limiter = context.createDynamicsCompressor();
    this.bus.connect(limiter).connect(output);
    this.noise = context.createBuffer(1, context.sampleRate, context.sampleRate);
    const samples = this.noise.getChannelData(0);
    for (let i = 0; i < samples.length; i += 1) samples[i] = 2 * Math.random() - 1;
    this.timer = null;
    this.live = new Set();
  }

  // view: of the plan; from: seconds; silent: roles that are not played; ended: called at the end
  start(view, from, silent, ended) {
    this.stop();
    const notes = [];
    for (const part of view.parts) {
      if (silent.has(part.role)) continue;
      for (const [start, stop, pitch, velocity] of part.notes) {
        if (stop > from) notes.push({ role: part.role, start, stop, pitch, velocity });
      }
    }
    notes.sort((a, b) => a.start - b.start);
    this.origin = this.context.currentTime + 0.06 - from;
    this.end = view.seconds;
    this.ended = ended;
    let next = 0;
    const schedule = () => {
      const now = this.context.currentTime;
      const until = now + AHEAD - this.origin;
      for (; next < notes.length && notes[next].start < until; next += 1) this.#play(notes[next], now);
      if (now - this.origin > this.end) {
        this.stop();
        ended?.();
      }
    };
    this.timer = setInterval(schedule, EVERY);
    schedule();
  }

  get isPlaying() {
    return this.timer !== null;
  }

  get time() {
    return Math.max(0, Math.min(this.context.currentTime - this.origin, this.end));
  }

  stop() {
    clearInterval(this.timer);
    this.timer = null;
    for (const node of this.live) node.stop();
    this.live.clear();
  }

  // One note at once, as the piano roll plays it.
  touch(role, pitch, velocity = 80) {
    const now = this.context.currentTime;
    this.origin ??= 0;
    this.#play({ role, pitch, velocity, start: now - this.origin, stop: now - this.origin + 0.3 }, now);
  }

  #play(note, now) {
    const at = Math.max(now, this.origin + note.start);
    const length = this.origin + note.stop - at;
    if (length <= 0) return;
    const loud = (note.velocity / 127) ** 1.5;
    if (note.role === "drums" || note.role === "percussion") this.#drum(kind(note.pitch), note.pitch, at, loud);
    else this.#tone(VOICES[note.role] ?? VOICES.keys, note.pitch, at, length, loud);
  }

  #source(node, from, until) {
    this.live.add(node);
    node.onended = () => this.live.delete(node);
    node.start(from);
    node.stop(until);
  }

  #tone(voice, pitch, at, length, loud) {
    const { context } = this;
    const frequency = 440 * 2 ** ((pitch - 69) / 12);
    const gain = context.createGain();
    const filter = context.createBiquadFilter();
    filter.frequency.value = Math.min(12000, frequency * voice.cut * (0.6 + 0.6 * loud));
    const peak = loud * voice.level;
    const end = at + length;
    gain.gain.setValueAtTime(0, at);
    gain.gain.linearRampToValueAtTime(peak, at + Math.min(voice.attack, length));
    if (voice.decay) gain.gain.setTargetAtTime(peak * 0.25, at + voice.attack, voice.decay);
    gain.gain.setTargetAtTime(0, end, voice.release / 3);
    filter.connect(gain).connect(this.bus);
    for (const cents of voice.twin ? [-voice.twin, voice.twin] : [0]) {
      const wave = context.createOscillator();
      wave.type = voice.wave;
      wave.frequency.value = frequency;
      wave.detune.value = cents;
      wave.connect(filter);
      this.#source(wave, at, end + voice.release * 1.6);
    }
  }

  #drum(what, key, at, loud) {
    const { context } = this;
    const gain = context.createGain();
    gain.connect(this.bus);
    const fall = (level, seconds) => {
      gain.gain.setValueAtTime(level * loud, at);
      gain.gain.exponentialRampToValueAtTime(0.001, at + seconds);
    };
    if (["kick", "tom", "conga"].includes(what)) {
      const wave = context.createOscillator();
      const base = what === "kick" ? 50 : what === "tom" ? 60 + 8 * (key - 40) : 150 + 20 * (key - 60);
      wave.frequency.setValueAtTime(base * (what === "kick" ? 3 : 1.5), at);
      wave.frequency.exponentialRampToValueAtTime(base, at + 0.08);
      const seconds = what === "kick" ? 0.28 : 0.2;
      fall(what === "kick" ? 0.9 : 0.45, seconds);
      wave.connect(gain);
      this.#source(wave, at, at + seconds);
      return;
    }
    const [type, frequency, level, seconds] = {
      snare: ["bandpass", 1900, 0.6, 0.17], hat: ["highpass", 8000, 0.22, 0.05], open: ["highpass", 7000, 0.24, 0.3],
      cymbal: ["highpass", 5000, 0.26, 0.9], shake: ["bandpass", 6000, 0.24, 0.07],
    }[what];
    const noise = context.createBufferSource();
    const filter = context.createBiquadFilter();
    Object.assign(noise, { buffer: this.noise, loop: true });
    Object.assign(filter, { type });
    filter.frequency.value = frequency;
    fall(level, seconds);
    noise.connect(filter).connect(gain);
    this.#source(noise, at, at + seconds);
  }
}
