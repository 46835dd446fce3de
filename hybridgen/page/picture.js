// A plan as a small picture: its sections above, below the notes of every role in its colour.

import { color, sized } from "./dom.js";

export function picture(canvas, view) {
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const context = sized(canvas, width, height);
  const x = (seconds) => (seconds / view.seconds) * width;
  const band = 12;
  for (const section of view.sections) {
    const [left, right] = [x(view.bars[section.first - 1]), x(view.bars[section.last])];
    const energy = (section.energy ?? 3) / 7;
    context.fillStyle = color("ink");
    context.globalAlpha = 0.1 + 0.5 * energy;
    context.fillRect(left, band - 2 - energy * (band - 3), Math.max(1, right - left - 1), 1 + energy * (band - 3));
    context.globalAlpha = 0.09;
    context.fillRect(right - 1, band, 1, height - band);
  }
  context.globalAlpha = 1;
  const parts = view.parts.filter((part) => part.notes.length);
  const lane = (height - band - 2) / Math.max(1, parts.length);
  parts.forEach((part, i) => drawNotes(context, part, { x, top: band + 1 + i * lane, height: lane - 1.5 }));
}

// The notes of one role in a lane of so many pixels.
export function drawNotes(context, part, { x, top, height }) {
  if (!part.notes.length) return;
  const pitches = part.notes.map((note) => note[2]);
  const [low, high] = [Math.min(...pitches), Math.max(...pitches)];
  const size = Math.max(1.2, Math.min(4, height / (high - low + 1)));
  context.fillStyle = color(part.role);
  for (const [start, stop, pitch, velocity] of part.notes) {
    const y = high === low ? top + height / 2 : top + (height - size) * (1 - (pitch - low) / (high - low));
    context.globalAlpha = 0.45 + 0.55 * (velocity / 127);
    context.fillRect(x(start), y, Math.max(1, x(stop) - x(start) - 0.5), size);
  }
  context.globalAlpha = 1;
}
