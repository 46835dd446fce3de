// The strip of sections, their borders and menus, and the curve of their energy.

import { $, capital, h, icon, popover } from "./dom.js";
import { toggleRole } from "./rows.js";
import { state } from "./state.js";
import { change, nameOf, percent, playing, spanOf } from "./timeline.js";

export function drawSections() {
  const { view } = state;
  const focused = document.activeElement?.dataset?.focus;
  const lane = $("#plan-sections");
  lane.replaceChildren();
  view.sections.forEach((section, i) => {
    const { left, width } = spanOf(section.first, section.last);
    const block = h(
      "button",
      {
        class: `section e${section.energy ?? 3}`,
        "data-focus": `section ${i}`,
        "aria-label": `${nameOf(section)}, bars ${section.first} to ${section.last}, energy ${section.energy ?? "unknown"}. Enter opens its menu, Alt and an arrow move it`,
        onkeydown: (event) => {
          if (!event.altKey || !["ArrowLeft", "ArrowRight"].includes(event.key)) return;
          event.preventDefault();
          shift(i, i + (event.key === "ArrowLeft" ? -1 : 1));
        },
      },
      h("span", { class: "section-name" }, nameOf(section)),
      h("span", { class: "section-bars" }, `${section.last - section.first + 1}`),
    );
    Object.assign(block.style, { left, width });
    dragSection(block, i);
    lane.append(block);
    if (i) lane.append(border(i));
  });
  if (focused) $(`[data-focus="${focused}"]`, lane)?.focus();
}

// A section is dragged to where another one is; a click opens its menu.
function dragSection(block, i) {
  let from = null;
  block.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    from = event.clientX;
    block.setPointerCapture(event.pointerId);
  });
  block.addEventListener("pointermove", (event) => {
    if (from === null) return;
    const moved = event.clientX - from;
    if (Math.abs(moved) > 6) block.classList.add("dragged");
    if (block.classList.contains("dragged")) block.style.setProperty("--moved", `${moved}px`);
  });
  const drop = (event) => {
    const isDrag = block.classList.contains("dragged");
    block.classList.remove("dragged");
    block.style.removeProperty("--moved");
    if (from === null || !isDrag) {
      from = null;
      return;
    }
    from = null;
    const lane = $("#plan-sections").getBoundingClientRect();
    const seconds = ((event.clientX - lane.left) / lane.width) * state.view.seconds;
    const { bars, sections } = state.view;
    const target = sections.findIndex((one) => seconds < bars[one.last]);
    block.dataset.wasDragged = "1";
    if (target !== i) shift(i, target < 0 ? sections.length - 1 : target);
  };
  block.addEventListener("pointerup", drop);
  block.addEventListener("pointercancel", drop);
  block.addEventListener("click", (event) => {
    if (block.dataset.wasDragged) {
      delete block.dataset.wasDragged;
      event.preventDefault();
      return;
    }
    menu(block, i);
  });
}

function shift(from, to) {
  const n = state.view.sections.length;
  if (to < 0 || to >= n || from === to) return;
  const order = [...Array(n).keys()].map((one) => one + 1);
  order.splice(to, 0, ...order.splice(from, 1));
  change({ edit: "arrange", order }).then(() => $(`[data-focus="section ${to}"]`)?.focus());
}

function border(i) {
  const { view } = state;
  const [before, after] = [view.sections[i - 1], view.sections[i]];
  const [low, high] = [before.first + 1, after.last];
  const handle = h("div", {
    class: "border",
    role: "slider",
    tabindex: "0",
    "data-focus": `border ${i}`,
    "aria-label": `Border between ${nameOf(before)} and ${nameOf(after)}`,
    "aria-valuemin": low,
    "aria-valuemax": high,
    "aria-valuenow": after.first,
    "aria-valuetext": `bar ${after.first}`,
  });
  handle.style.left = percent(view.bars[after.first - 1]);
  const go = (to) => {
    const bounded = Math.max(low, Math.min(high, to));
    if (bounded !== after.first) change({ edit: "move_border", bar: after.first, to: bounded });
  };
  handle.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    go(after.first + step);
  });
  let to = null;
  handle.addEventListener("pointerdown", (event) => {
    handle.setPointerCapture(event.pointerId);
    to = after.first;
  });
  handle.addEventListener("pointermove", (event) => {
    if (to === null) return;
    const lane = $("#plan-sections").getBoundingClientRect();
    const seconds = ((event.clientX - lane.left) / lane.width) * view.seconds;
    let nearest = low;
    for (let bar = low; bar <= high; bar += 1) {
      if (Math.abs(view.bars[bar - 1] - seconds) < Math.abs(view.bars[nearest - 1] - seconds)) nearest = bar;
    }
    to = nearest;
    handle.style.left = percent(view.bars[to - 1]);
  });
  handle.addEventListener("pointerup", () => {
    if (to !== null) go(to);
    to = null;
  });
  return handle;
}

function menu(anchor, i) {
  const { view } = state;
  const section = view.sections[i];
  const bars = [section.first, section.last];
  const n = view.sections.length;
  const order = [...Array(n).keys()].map((one) => one + 1);
  const act = (name, label, isOff, ...edits) => h("button", { class: "menu-item", disabled: isOff, onclick: () => (panel.close(), change(...edits)) }, icon(name), label);
  const label = h("select", { "aria-label": "Kind of section", onchange: () => (panel.close(), change({ edit: "edit", bars, label: label.value, keep_notes: true })) }, section.label ? [] : h("option", { value: "" }, "–"), state.options.labels.map((one) => h("option", { value: one, selected: one === section.label }, one)));
  const energy = h("input", { type: "range", min: "0", max: String(state.options.max_energy), step: "1", "aria-label": "Energy", onchange: () => (panel.close(), change({ edit: "edit", bars, energy: Number(energy.value) })) });
  energy.value = section.energy ?? 3;
  const roles = view.parts.map((part) =>
    h("label", { class: "line" }, h("input", { type: "checkbox", checked: playing(section).includes(part.role), onchange: () => toggleRole(section, part.role) }), h("span", { class: `dot ${part.role}` }), part.role),
  );
  const middle = section.first + Math.ceil((section.last - section.first + 1) / 2);
  const at = h("input", { type: "number", min: section.first + 1, max: section.last, "aria-label": "Bar at which it is divided" });
  at.value = middle;
  const panel = popover(
    anchor,
    `Section ${nameOf(section)}`,
    h("h3", {}, `${capital(nameOf(section))}, bars ${section.first}–${section.last}`),
    h("label", { class: "line" }, h("span", { class: "grow" }, "Kind"), label),
    h("label", { class: "line" }, h("span", { class: "grow" }, "Energy"), energy),
    h("fieldset", {}, h("legend", {}, "Plays"), h("div", { class: "columns" }, roles)),
    act("copy", "Insert a copy after it", false, { edit: "arrange", order: [...order.slice(0, i + 1), i + 1, ...order.slice(i + 1)] }),
    act("plus", "Insert a new one like it", false, { edit: "arrange", order: [...order.slice(0, i + 1), i + 1, ...order.slice(i + 1)] }, { edit: "edit", bars: [section.last + 1, section.last + 1 + bars[1] - bars[0]], clear: playing(section) }),
    act("join", "Join with the one before", i === 0, { edit: "merge", bar: section.first }),
    h("div", { class: "line" }, h("button", { class: "menu-item grow", disabled: section.first === section.last, onclick: () => (panel.close(), change({ edit: "split", bar: Number(at.value) })) }, icon("cut"), "Divide at bar"), at),
    act("left", "Move left", i === 0, { edit: "arrange", order: swapped(order, i, i - 1) }),
    act("right", "Move right", i === n - 1, { edit: "arrange", order: swapped(order, i, i + 1) }),
    act("close", "Remove", n === 1, { edit: "arrange", order: order.filter((one) => one !== i + 1) }),
  );
  label.focus();
}

function swapped(order, i, j) {
  const found = [...order];
  if (j >= 0 && j < found.length) [found[i], found[j]] = [found[j], found[i]];
  return found;
}

export function drawEnergy() {
  const { view } = state;
  const lane = $("#plan-energy");
  const focused = document.activeElement?.dataset?.focus;
  const most = state.options.max_energy;
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 100 100");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const points = [];
  for (const { first, last, energy } of view.sections) {
    const y = 92 - (84 * (energy ?? 3)) / most;
    points.push(`${(100 * view.bars[first - 1]) / view.seconds},${y} ${(100 * view.bars[last]) / view.seconds},${y}`);
  }
  const end = (100 * view.bars.at(-1)) / view.seconds;
  const area = document.createElementNS("http://www.w3.org/2000/svg", "polygon");
  area.setAttribute("points", `0,100 ${points.join(" ")} ${end},100`);
  svg.append(area);
  lane.replaceChildren(svg);
  view.sections.forEach((section, i) => {
    const energy = section.energy ?? 3;
    const knob = h("div", {
      class: "knob",
      role: "slider",
      tabindex: "0",
      "data-focus": `energy ${i}`,
      "aria-label": `Energy of ${nameOf(section)}, bars ${section.first} to ${section.last}`,
      "aria-valuemin": 0,
      "aria-valuemax": most,
      "aria-valuenow": energy,
      "aria-orientation": "vertical",
    });
    const { left, width } = spanOf(section.first, section.last);
    knob.style.left = `calc(${left} + ${width} / 2)`;
    const place = (value) => knob.style.setProperty("top", `${92 - (84 * value) / most}%`);
    place(energy);
    const go = (value) => value !== section.energy && change({ edit: "edit", bars: [section.first, section.last], energy: Math.max(0, Math.min(most, value)) });
    knob.addEventListener("keydown", (event) => {
      const step = { ArrowDown: -1, ArrowLeft: -1, ArrowUp: 1, ArrowRight: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      if (energy + step >= 0 && energy + step <= most) go(energy + step);
    });
    let value = null;
    knob.addEventListener("pointerdown", (event) => {
      knob.setPointerCapture(event.pointerId);
      value = energy;
    });
    knob.addEventListener("pointermove", (event) => {
      if (value === null) return;
      const box = lane.getBoundingClientRect();
      value = Math.max(0, Math.min(most, Math.round((most * (0.92 - (event.clientY - box.top) / box.height)) / 0.84)));
      place(value);
    });
    knob.addEventListener("pointerup", () => {
      if (value !== null && value !== energy) go(value);
      value = null;
    });
    lane.append(knob);
  });
  if (focused?.startsWith("energy")) $(`[data-focus="${focused}"]`, lane)?.focus();
}
