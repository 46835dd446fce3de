// The row of chords, a cell for each bar: a click writes another.

import { $, h } from "./dom.js";
import { state } from "./state.js";
import { change, spanOf } from "./timeline.js";

export function drawChords() {
  const { view } = state;
  const lane = $("#plan-chords");
  const focused = document.activeElement?.dataset?.focus;
  for (const cell of [...lane.children]) if (!cell.matches("input")) cell.remove(); // one that is being typed stays
  view.chords.forEach((chords, i) => {
    const bar = i + 1;
    const text = chords ? chords.join(" ") : "–";
    const cell = h("button", { class: chords?.length > 1 ? "chord two" : "chord", "data-focus": `chord ${i}`, "aria-label": `Chords of bar ${bar}: ${chords ? text : "unknown"}. Change`, onclick: () => editChord(cell, bar) }, ...halves(chords));
    Object.assign(cell.style, spanOf(bar, bar));
    lane.append(cell);
  });
  if (focused?.startsWith("chord")) $(`[data-focus="${focused}"]`, lane)?.focus();
}

// One chord, or two for half a bar each.
export const halves = (chords) => (chords ?? ["–"]).map((name) => h("span", {}, name));

function editChord(cell, bar) {
  const input = h("input", { class: "chord-input", type: "text", "aria-label": `Chords of bar ${bar}`, spellcheck: "false", autocomplete: "off" });
  input.value = state.view.chords[bar - 1]?.join(" ") ?? "";
  Object.assign(input.style, { left: cell.style.left });
  let isDone = false;
  const end = async (next) => {
    if (isDone) return;
    isDone = true;
    const text = input.value.trim().replace(/\s+/g, ",");
    input.remove();
    const target = $(`[data-focus="chord ${bar - 1 + next}"]`);
    target?.focus();
    if (next && target) editChord(target, bar + next); // before the answer, so that no key is lost
    if (text && text !== (state.view.chords[bar - 1]?.join(",") ?? "")) await change({ edit: "edit", bars: [bar, bar], chords: [text] });
  };
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === "Tab") {
      event.preventDefault(); // or Enter presses the cell that is focused now
      end(event.key === "Enter" ? 0 : event.shiftKey ? -1 : 1);
    } else if (event.key === "Escape") {
      isDone = true;
      input.remove();
      cell.focus();
    } else return;
    event.stopPropagation();
  });
  input.addEventListener("blur", () => end(0));
  $("#plan-chords").append(input);
  input.select();
}
