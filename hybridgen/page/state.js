// What the page knows, and who is told when it changes: on("plan", f) ... set({ track }) tells "track".

import { post } from "./api.js";

const events = new EventTarget();

export const state = {
  options: null, // what there is to choose: GET /v1/options
  plan: null, // the plan in the editor, as JSON
  view: null, // what there is to draw and play of it
  role: null, // whose notes are in the piano roll
  track: null, // the track in the player: an entry of the library, with its view
  other: null, // the track that it is compared with
  ranges: [], // bars chosen in the player: [[9, 12], [17, 17]]; seconds, [[3.5, 8]], of a recording without bars
  job: null, // the render that the player listens to
};

export function on(names, f) {
  for (const name of names.split(" ")) events.addEventListener(name, f);
}

export function set(changes) {
  Object.assign(state, changes);
  for (const name of Object.keys(changes)) events.dispatchEvent(new Event(name));
}

// ---- the plan, with undo

const before = [];
const after = [];
const MOST = 100;
let last = Promise.resolve();

export function open(seen) {
  if (state.plan) before.push({ plan: state.plan, view: state.view });
  if (before.length > MOST) before.shift();
  after.length = 0;
  show(seen);
}

function show({ plan, view }) {
  const roles = view.parts.map((part) => part.role);
  const role = roles.includes(state.role) ? state.role : roles.find((one) => one === "lead") ?? roles[0] ?? null;
  set({ plan, view, role });
}

// Edits wait for one another, so that two quick ones both hold.
export function edit(...edits) {
  const mine = last.then(async () => open(await post("/v1/plans/edits", { plan: state.plan, edits })));
  last = mine.catch(() => {});
  return mine;
}

function step(from, to) {
  if (!from.length) return false;
  to.push({ plan: state.plan, view: state.view });
  show(from.pop());
  return true;
}

export const undo = () => step(before, after);
export const redo = () => step(after, before);
export const steps = () => ({ undo: before.length, redo: after.length });

// ---- bars

export function barAt(view, seconds) {
  const { bars } = view;
  let low = 0;
  let high = bars.length - 1;
  while (low < high - 1) {
    const middle = (low + high) >> 1;
    if (bars[middle] <= seconds) low = middle;
    else high = middle;
  }
  return low + 1;
}

export const sectionAt = (view, bar) => view.sections.find((one) => bar >= one.first && bar <= one.last);

// "3.5-8, 12-14" -> [[3.5, 8], [12, 14]]; null for what is none
export function readSeconds(text, most) {
  const found = text.split(/[,\s]+/).filter(Boolean).map((part) => part.split(/[-–]/).map(Number));
  return found.every(([a, b, ...rest]) => a >= 0 && a < b && b <= most + 0.01 && !rest.length) ? found.sort((a, b) => a[0] - b[0]) : null;
}

// "9-12, 17" <-> [[9, 12], [17, 17]]; null for what is none
export function readRanges(text, n) {
  const found = [];
  for (const part of text.split(/[,\s]+/).filter(Boolean)) {
    const match = part.match(/^(\d+)(?:[-–](\d+))?$/);
    if (!match) return null;
    const [first, last_] = [Number(match[1]), Number(match[2] ?? match[1])];
    if (first < 1 || last_ < first || last_ > n) return null;
    found.push([first, last_]);
  }
  return joined(found);
}

export const showRanges = (ranges) => ranges.map(([a, b]) => (a === b ? `${a}` : `${a}-${b}`)).join(", ");

export function joined(ranges) {
  const sorted = ranges.map((one) => [...one]).sort((a, b) => a[0] - b[0]);
  const found = [];
  for (const one of sorted) {
    const before_ = found.at(-1);
    if (before_ && one[0] <= before_[1] + 1) before_[1] = Math.max(before_[1], one[1]);
    else found.push(one);
  }
  return found;
}
