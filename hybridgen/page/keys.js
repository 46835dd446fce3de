// Keys that work everywhere, and the page that lists them.

import { choose } from "./candidates.js";
import { renderPlan } from "./changes.js";
import { $, isTyping } from "./dom.js";
import { preview } from "./editor.js";
import player, { seek, side, time, toggle } from "./player.js";
import { barAt, redo, state, undo } from "./state.js";

export function start() {
  const help = $("#help");
  $("#show-help").addEventListener("click", () => help.showModal());
  $("#close-help").addEventListener("click", () => help.close());
  addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z" && !isTyping(event.target)) {
      event.preventDefault();
      if (event.shiftKey) redo();
      else undo();
      return;
    }
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "y" && !isTyping(event.target)) {
      event.preventDefault();
      redo();
      return;
    }
    if (isTyping(event.target) || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (event.key === " " && event.target.matches("button, summary, a")) return; // it presses them
    const bar = (step) => {
      const view = player.mode === "plan" ? state.view : state.track?.view;
      if (!view || view.bars.length < 2) return;
      const now = barAt(view, time() + 0.01);
      seek(view.bars[Math.max(0, Math.min(view.bars.length - 2, now - 1 + step))]);
    };
    const does = {
      " ": toggle,
      k: toggle,
      p: preview,
      r: renderPlan,
      b: () => side(player.side === "a" ? "b" : "a"),
      "[": () => bar(-1),
      "]": () => bar(1),
      Home: () => seek(0),
      "/": () => $("#search").focus(),
      "?": () => help.showModal(),
    }[event.key];
    if (does) {
      event.preventDefault();
      does();
    } else if (/^[1-8]$/.test(event.key)) choose(Number(event.key) - 1);
  });
}
