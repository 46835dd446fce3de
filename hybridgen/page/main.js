// The page: what there is to choose is asked once, then every part starts, and work under way is found again.

import { get } from "./api.js";
import * as candidates from "./candidates.js";
import * as changes from "./changes.js";
import { $, icon } from "./dom.js";
import * as drop from "./drop.js";
import * as editor from "./editor.js";
import * as keys from "./keys.js";
import * as library from "./library.js";
import { isWatched } from "./jobs.js";
import { say } from "./notices.js";
import player, { live, onPlayer, playLive, setVolume, toggle, use } from "./player.js";
import * as prompt from "./prompt.js";
import * as sound from "./sound.js";
import { on, set, state } from "./state.js";

const KEPT = "hybridgen"; // what this browser remembers: the sentence that is being written

function remember() {
  const box = $("#prompt");
  box.value = sessionStorage.getItem(KEPT) ?? box.value;
  box.addEventListener("input", () => sessionStorage.setItem(KEPT, box.value));
}

function transport() {
  const button = $("#play");
  const draw = () => {
    button.replaceChildren(icon(player.isPlaying ? "pause" : "play"));
    button.setAttribute("aria-label", player.isPlaying ? "Pause" : "Play");
    for (const one of document.querySelectorAll("[data-mode]")) one.setAttribute("aria-pressed", String((player.mode === "plan" ? "plan" : "track") === one.dataset.mode));
    $("#preview").replaceChildren(icon(player.isPlaying && player.mode === "plan" ? "pause" : "play"), "Preview");
  };
  button.addEventListener("click", toggle);
  for (const one of document.querySelectorAll("[data-mode]")) one.addEventListener("click", () => (one.dataset.mode === "track" && live ? playLive() : use(one.dataset.mode)));
  $("#volume").addEventListener("input", (event) => setVolume(Number(event.target.value) ** 2));
  onPlayer("state", draw);
  draw();
}

// On a narrow screen one part is seen at a time.
function tabs() {
  const all = [...document.querySelectorAll("#tabs button")];
  const choose = (name) => {
    document.body.dataset.tab = name;
    for (const tab of all) tab.setAttribute("aria-pressed", String(tab.dataset.tab === name));
    dispatchEvent(new Event("resize"));
  };
  for (const tab of all) tab.addEventListener("click", () => choose(tab.dataset.tab));
  choose("write");
}

async function resume() {
  const tracks = await library.refresh();
  for (const track of tracks ?? []) {
    if (!["queued", "running"].includes(track.state) || isWatched(track.id)) continue;
    changes.finish({ id: track.id, kind: track.kind, events: `${track.where}/events` }, null);
  }
}

async function start() {
  try {
    set({ options: await get("/v1/options") });
  } catch (error) {
    say(error.message, { bad: true });
    return;
  }
  $("#model").textContent = state.options.model;
  remember();
  prompt.start();
  changes.start();
  editor.start();
  sound.start();
  library.start(changes.openTrack);
  drop.start();
  keys.start();
  transport();
  tabs();
  $("#ask").addEventListener("click", candidates.ask);
  $("#prompt").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey) return;
    event.preventDefault();
    candidates.ask();
  });
  on("plan track", changes.drawActions);
  new ResizeObserver(candidates.draw).observe($("#candidates"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    candidates.draw();
    set({ role: state.role }); // notes are drawn in the colours of the other scheme
  });
  await resume();
  document.body.dataset.ready = "";
}

start();
