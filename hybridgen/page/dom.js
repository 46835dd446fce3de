// Elements in a line each: h("button", { class: "icon", onclick: f, "aria-label": "Play" }, icon("play")).

export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, v] of Object.entries(value)) element.style.setProperty(key, v);
    else if (name in element && !name.startsWith("aria") && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

export const $ = (selector, within = document) => within.querySelector(selector);
export const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// A canvas as large as its box, sharp on every screen; its context is in CSS pixels.
export function sized(canvas, width = canvas.clientWidth, height = canvas.clientHeight) {
  const ratio = Math.min(window.devicePixelRatio || 1, 8192 / Math.max(width, 1));
  const [w, h_] = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
  if (canvas.width !== w || canvas.height !== h_) Object.assign(canvas, { width: w, height: h_ });
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

export function clock(seconds) {
  const s = Math.max(0, seconds);
  return `${Math.floor(s / 60)}:${String(Math.floor(s % 60)).padStart(2, "0")}`;
}

export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
export const isTyping = (target) => Boolean(target.closest?.("input, textarea, select, [contenteditable]"));

// A small panel beside a button; Escape and a click elsewhere close it, and the button has the focus again.
export function popover(anchor, label, ...children) {
  document.querySelector("dialog.popover")?.close();
  const panel = h("dialog", { class: "popover", "aria-label": label }, ...children);
  document.body.append(panel);
  panel.addEventListener("close", () => {
    panel.remove();
    if (anchor.isConnected) anchor.focus({ preventScroll: true });
  });
  panel.addEventListener("click", (event) => event.target === panel && panel.close());
  panel.showModal();
  const box = anchor.getBoundingClientRect();
  const [width, height] = [panel.offsetWidth, panel.offsetHeight];
  panel.style.left = `${Math.max(8, Math.min(box.left, window.innerWidth - width - 8))}px`;
  const below = box.bottom + 6 + height < window.innerHeight;
  panel.style.top = `${Math.max(8, below ? box.bottom + 6 : Math.min(box.top - height - 6, window.innerHeight - height - 8))}px`;
  return panel;
}
