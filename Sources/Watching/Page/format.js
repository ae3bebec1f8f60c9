"use strict";
// Figures as people read them. Whatever is not known is a dash.
const dash = "–";
const known = value => typeof value === "number" && Number.isFinite(value);

// A number to so many digits in all, without an exponent where it is readable so.
function digits(value, count = 4) {
  if (!known(value)) return dash;
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 1e-4 || size >= 1e15) return value.toExponential(count - 2);
  if (size >= 10 ** (count - 1)) return whole(Math.round(value));
  return value.toPrecision(count);
}

function whole(value) {
  if (!known(value)) return dash;
  const text = String(Math.abs(Math.round(value)));
  return (value < 0 ? "-" : "") + text.replace(/\B(?=(\d{3})+$)/g, "\u2009");
}

function percent(share) { return known(share) ? `${(100 * share).toFixed(share < 0.1 ? 1 : 0)}\u2009%` : dash; }

function bytes(value) {
  if (!known(value)) return dash;
  const names = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let place = 0;
  while (value >= 1024 && place < names.length - 1) { value /= 1024; place += 1; }
  return `${place === 0 ? value : value.toFixed(1)} ${names[place]}`;
}

// "45 s", "3 min 05 s", "2 h 07 min", "12 d 04 h".
function duration(seconds) {
  if (!known(seconds)) return dash;
  if (seconds < 0.1) return `${digits(1000 * seconds, 2)} ms`;
  if (seconds < 10) return `${seconds.toFixed(seconds < 1 ? 2 : 1)} s`;
  const total = Math.round(seconds);
  const two = value => String(value).padStart(2, "0");
  if (total < 60) return `${total} s`;
  if (total < 3600) return `${Math.floor(total / 60)} min ${two(total % 60)} s`;
  if (total < 86400) return `${Math.floor(total / 3600)} h ${two(Math.floor(total % 3600 / 60))} min`;
  return `${Math.floor(total / 86400)} d ${two(Math.floor(total % 86400 / 3600))} h`;
}

function time(unixSeconds) {
  if (!known(unixSeconds)) return dash;
  const date = new Date(1000 * unixSeconds);
  const two = value => String(value).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

// An element with text and nothing that could be markup.
function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

// A figure whose every digit is in its value, and in what a pointer over it shows.
function figure(text, value) {
  const made = element("data", text);
  made.value = known(value) ? String(value) : "";
  if (known(value)) made.title = String(value);
  return made;
}

// Puts children in the place of those that stand there, where something changed.
function refill(parent, children) {
  const holder = document.createElement(parent.tagName);
  holder.append(...children);
  if (holder.innerHTML !== parent.innerHTML) parent.replaceChildren(...holder.childNodes);
}
