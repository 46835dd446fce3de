// What the lanes of the plan share: where bars are, who plays, and how a change is made.

import { told } from "./notices.js";
import { edit, state } from "./state.js";

export const percent = (seconds) => `${(100 * seconds) / state.view.seconds}%`;
export const spanOf = (first, last) => {
  const { bars } = state.view;
  return { left: percent(bars[first - 1]), width: percent(bars[last] - bars[first - 1]) };
};
export const change = (...edits) => told(edit(...edits));
export const playing = (section) => section.roles ?? state.view.parts.map((part) => part.role);
export const nameOf = (section) => section.label ?? "section";
