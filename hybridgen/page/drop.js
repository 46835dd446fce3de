// Files that are dropped or chosen: a track of ours, a score, a recording, a tune that somebody hums.

import { get, upload } from "./api.js";
import { $, h, icon, popover } from "./dom.js";
import { lock } from "./fields.js";
import { openTrack } from "./changes.js";
import { refresh, use } from "./library.js";
import { say, told } from "./notices.js";
import { open } from "./state.js";

export async function take(file) {
  const done = say(`Reading ${file.name} …`);
  const found = await told(upload(file));
  done();
  if (!found) return null;
  for (const note of found.notes ?? []) say(note);
  if (found.what === "track") {
    refresh();
    await use({ id: found.id });
    return openTrack(found.id);
  }
  const asLead = () => (lock({ melody: found.id }), say(`${file.name} is what the lead plays: ask for plans.`));
  if (found.what === "score") {
    return ask(file.name, "A score", [
      ["plan", "Open it as a plan", async () => open(await get(`/v1/library/${found.id}/views/plan.json`))],
      ["melody", "Let the lead play it", asLead],
    ]);
  }
  refresh();
  return ask(file.name, "A recording", [
    ["melody", "It is a tune: let the lead play it", asLead],
    ["track", "Open it to repaint, cover or add to", () => openTrack(found.id)],
  ]);
}

function ask(name, what, choices) {
  const panel = popover(
    $("#import"),
    what,
    h("h3", {}, `${what}: ${name}`),
    choices.map(([id, label, does]) => h("button", { class: "menu-item", "data-choice": id, onclick: () => (panel.close(), does()) }, icon(id === "track" ? "compare" : id === "plan" ? "settings" : "note"), label)),
  );
  panel.querySelector("button").focus();
}

export function start() {
  const chooser = $("#file");
  $("#import").addEventListener("click", () => chooser.click());
  chooser.addEventListener("change", async () => {
    for (const file of chooser.files) await take(file);
    chooser.value = "";
  });
  const veil = $("#drop");
  const welcome = veil.textContent;
  let depth = 0;
  addEventListener("dragenter", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    depth += 1;
    veil.firstElementChild.textContent = $("dialog[data-drop]")?.dataset.drop ?? welcome;
    veil.hidden = false;
  });
  addEventListener("dragleave", () => {
    depth = Math.max(0, depth - 1);
    if (!depth) veil.hidden = true;
  });
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", async (event) => {
    depth = 0;
    veil.hidden = true;
    if (event.defaultPrevented) return; // a form has taken it
    event.preventDefault();
    for (const file of event.dataTransfer?.files ?? []) await take(file);
  });
}
