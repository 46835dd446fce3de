// In a worker: samples -> a spectrogram of loudness in decibels, 0 to 255, a column after another, low to high.

const SIZE = 2048;
const ROWS = 96;
const [LOW, HIGH] = [40, 16000]; // Hz
const RANGE = 80; // decibels that are shown

const window_ = Float32Array.from({ length: SIZE }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / SIZE));
const cosines = Float32Array.from({ length: SIZE / 2 }, (_, i) => Math.cos((2 * Math.PI * i) / SIZE));
const sines = Float32Array.from({ length: SIZE / 2 }, (_, i) => Math.sin((2 * Math.PI * i) / SIZE));

function transform(real, imaginary) {
  for (let i = 1, j = 0; i < SIZE; i += 1) {
    let bit = SIZE >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) [real[i], real[j]] = [real[j], real[i]];
  }
  for (let length = 2; length <= SIZE; length <<= 1) {
    const step = SIZE / length;
    for (let start = 0; start < SIZE; start += length) {
      for (let k = 0; k < length / 2; k += 1) {
        const [c, s] = [cosines[k * step], -sines[k * step]];
        const [one, other] = [start + k, start + k + length / 2];
        const r = real[other] * c - imaginary[other] * s;
        const m = real[other] * s + imaginary[other] * c;
        real[other] = real[one] - r;
        imaginary[other] = imaginary[one] - m;
        real[one] += r;
        imaginary[one] += m;
      }
    }
  }
}

onmessage = ({ data: { samples, rate, columns, key } }) => {
  const found = new Uint8Array(columns * ROWS);
  const [real, imaginary] = [new Float32Array(SIZE), new Float32Array(SIZE)];
  const edges = Array.from({ length: ROWS + 1 }, (_, i) => (LOW * (HIGH / LOW) ** (i / ROWS) * SIZE) / rate);
  for (let column = 0; column < columns; column += 1) {
    const start = Math.round(((column + 0.5) * samples.length) / columns) - SIZE / 2;
    for (let i = 0; i < SIZE; i += 1) real[i] = (samples[start + i] ?? 0) * window_[i];
    imaginary.fill(0);
    transform(real, imaginary);
    for (let row = 0; row < ROWS; row += 1) {
      let power = 0;
      const last = Math.max(Math.floor(edges[row]) + 1, Math.ceil(edges[row + 1]));
      for (let i = Math.floor(edges[row]); i < last && i < SIZE / 2; i += 1) power = Math.max(power, real[i] ** 2 + imaginary[i] ** 2);
      const decibels = 10 * Math.log10(power / (SIZE / 4) ** 2 + 1e-12) + (row / ROWS) * 18; // high ones are softer in music
      found[column * ROWS + row] = Math.max(0, Math.min(255, 255 * (1 + decibels / RANGE)));
    }
  }
  postMessage({ found, columns, rows: ROWS, key }, [found.buffer]);
};
