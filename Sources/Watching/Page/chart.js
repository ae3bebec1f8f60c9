// A chart of lines over steps: each line with a band from the least to the largest value of each bucket.
const svgSpace = "http://www.w3.org/2000/svg";
function shape(name, attributes, text) {
  const made = document.createElementNS(svgSpace, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// Round numbers from low to high, about so many.
function ticks(low, high, count) {
  const rough = (high - low) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map(factor => factor * power).find(size => size >= rough * 0.999);
  const found = [];
  for (let index = Math.ceil(low / step - 1e-9); index * step <= high + step * 1e-9; index += 1) found.push(index * step);
  return found;
}

function tickText(value, step) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 1e-3) return value.toExponential(step && Math.abs(step) < size / 3 ? 1 : 0);
  if (size >= 1e6) return `${Number((value / 1e6).toPrecision(4))}M`;
  if (size >= 1e4) return `${Number((value / 1e3).toPrecision(4))}k`;
  return String(Number(value.toPrecision(5)));
}

class Chart {
  // lines: [{key, name, colour, needs: the key without which the line says nothing}]; unit in words; limit: () => value and words of a dashed line, or nothing.
  constructor({ title, unit, lines, fromZero = false, limit = () => undefined }) {
    Object.assign(this, { title, unit, lines, fromZero, limit, history: undefined, place: undefined });
    this.figure = element("figure");
    this.caption = element("figcaption");
    this.svg = shape("svg", { role: "img", tabindex: "0" });
    this.tip = element("div", undefined, "tip");
    this.tip.hidden = true;
    this.figure.append(this.caption, this.svg, this.tip);
    this.svg.addEventListener("pointermove", event => this.point(event.clientX - this.svg.getBoundingClientRect().left));
    this.svg.addEventListener("pointerdown", event => this.point(event.clientX - this.svg.getBoundingClientRect().left));
    this.svg.addEventListener("pointerleave", () => this.leave());
    this.svg.addEventListener("blur", () => this.leave());
    this.svg.addEventListener("keydown", event => {
      const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!way || !this.history) return;
      event.preventDefault();
      const last = this.history.last_step.length - 1;
      this.place = Math.min(last, Math.max(0, (this.place ?? last) + way));
      this.mark();
    });
  }

  show(history) {
    this.history = history;
    // What is zero in all of the run is not there: KoLeo without a weight, and then the loss has one part.
    const isThere = key => history.mean[key]?.some(value => known(value) && value !== 0);
    this.shown = this.lines.filter(line => history.mean[line.key] && (!line.needs || isThere(line.needs)));
    this.figure.hidden = this.shown.length === 0;
    if (this.figure.hidden) return;
    this.captionOf(history);
    this.draw();
  }

  captionOf(history) {
    const last = key => history.mean[key].findLast(known);
    refill(this.caption, [element("h3", this.unit ? `${this.title} (${this.unit})` : this.title), ...this.shown.map(line => {
      const made = element("span", undefined, "key");
      made.append(element("i", undefined, line.colour), `${line.name} `, element("b", Number.isInteger(last(line.key)) ? whole(last(line.key)) : digits(last(line.key))));
      return made;
    })]);
    const names = this.shown.map(line => `${line.name} ${digits(last(line.key))}`).join(", ");
    this.svg.setAttribute("aria-label", `${this.title}${this.unit ? ` in ${this.unit}` : ""} by step; newest: ${names}`);
  }

  // Where things are, in pixels.
  layout() {
    const { history } = this;
    const width = this.svg.clientWidth || 400, height = this.svg.clientHeight || 190;
    const box = { left: 50, right: width - 10, top: 10, bottom: height - 34 };
    let low = Infinity, high = -Infinity;
    for (const line of this.shown) {
      const least = (history.least ?? history.mean)[line.key], largest = (history.largest ?? history.mean)[line.key];
      for (const value of least) if (known(value) && value < low) low = value;
      for (const value of largest) if (known(value) && value > high) high = value;
    }
    const limit = this.limit();
    if (limit) { low = Math.min(low, limit.value); high = Math.max(high, limit.value); }
    if (this.fromZero) low = Math.min(0, low);
    if (!(high > low)) { const pad = Math.abs(high) * 0.05 || 1; low -= this.fromZero ? 0 : pad; high += pad; }
    high += (high - low) * 0.04;
    if (!this.fromZero) low -= (high - low) * 0.04;
    const firsts = history.first_step, lasts = history.last_step;
    const begin = firsts[0], end = Math.max(lasts[lasts.length - 1], begin + 1);
    const x = step => box.left + (box.right - box.left) * (step - begin) / (end - begin);
    const y = value => box.bottom - (box.bottom - box.top) * (value - low) / (high - low);
    return { box, width, height, low, high, begin, end, x, y, limit };
  }

  draw() {
    const { history } = this, view = this.view = this.layout();
    const { box, x, y } = view;
    this.svg.setAttribute("viewBox", `0 0 ${view.width} ${view.height}`);
    const parts = [];
    const values = ticks(view.low, view.high, 4);
    for (const value of values) {
      parts.push(shape("line", { class: "grid", x1: box.left, x2: box.right, y1: y(value), y2: y(value) }));
      parts.push(shape("text", { x: box.left - 6, y: y(value) + 4, "text-anchor": "end" }, tickText(value, values[1] - values[0])));
    }
    const steps = ticks(view.begin, view.end, Math.max(2, Math.floor((box.right - box.left) / 80))).filter(Number.isInteger);
    for (const step of steps) {
      parts.push(shape("line", { class: "axis", x1: x(step), x2: x(step), y1: box.bottom, y2: box.bottom + 4 }));
      parts.push(shape("text", { x: Math.min(x(step), box.right - 12), y: box.bottom + 17, "text-anchor": "middle" }, tickText(step)));
    }
    parts.push(shape("line", { class: "axis", x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom }));
    parts.push(shape("text", { x: (box.left + box.right) / 2, y: view.height - 3, "text-anchor": "middle" }, "step"));
    const middle = history.first_step.map((first, index) => x((first + history.last_step[index]) / 2));
    for (const line of this.shown) {
      if (history.least) parts.push(shape("path", { class: `band ${line.colour}`, d: this.band(line.key, middle, y) }));
      parts.push(shape("path", { class: `line ${line.colour}`, d: this.path(history.mean[line.key], middle, y) }));
    }
    if (view.limit) {
      const height = y(view.limit.value);
      parts.push(shape("line", { class: "limit", x1: box.left, x2: box.right, y1: height, y2: height }));
      parts.push(shape("text", { class: "limit-name", x: box.right, y: height + (height < box.top + 20 ? 14 : -5), "text-anchor": "end" }, view.limit.name));
    }
    this.svg.replaceChildren(...parts);
    if (this.place !== undefined) this.mark();
  }

  path(values, middle, y) {
    let text = "", isOpen = false;
    values.forEach((value, index) => {
      if (!known(value)) { isOpen = false; return; }
      text += `${isOpen ? "L" : "M"}${middle[index].toFixed(1)} ${y(value).toFixed(1)}`;
      // A point alone would not be seen.
      if (!isOpen && !known(values[index + 1])) text += "h0.1";
      isOpen = true;
    });
    return text;
  }

  band(key, middle, y) {
    const { least, largest } = this.history;
    let text = "", start = 0;
    for (let index = 0; index <= middle.length; index += 1) {
      if (index < middle.length && known(least[key][index])) continue;
      if (index > start) {
        const points = [];
        for (let place = start; place < index; place += 1) points.push(`${middle[place].toFixed(1)} ${y(largest[key][place]).toFixed(1)}`);
        for (let place = index - 1; place >= start; place -= 1) points.push(`${middle[place].toFixed(1)} ${y(least[key][place]).toFixed(1)}`);
        text += `M${points.join("L")}Z`;
      }
      start = index + 1;
    }
    return text;
  }

  // The bucket nearest to a place on the chart.
  point(left) {
    if (!this.history || !this.view) return;
    const { box, begin, end } = this.view, lasts = this.history.last_step;
    const step = begin + (end - begin) * (left - box.left) / (box.right - box.left);
    let low = 0, high = lasts.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (lasts[middle] < step) low = middle + 1; else high = middle;
    }
    if (low > 0 && step - lasts[low - 1] < this.history.first_step[low] - step) low -= 1;
    this.place = low;
    this.mark();
  }

  leave() {
    this.place = undefined;
    this.tip.hidden = true;
    this.svg.querySelectorAll(".cross, .dot").forEach(old => old.remove());
  }

  // A line through the bucket, and its values.
  mark() {
    const { history, view } = this;
    this.svg.querySelectorAll(".cross, .dot").forEach(old => old.remove());
    const first = history.first_step[this.place], last = history.last_step[this.place];
    if (first === undefined) return this.leave();
    const left = view.x((first + last) / 2);
    this.svg.append(shape("line", { class: "cross", x1: left, x2: left, y1: view.box.top, y2: view.box.bottom }));
    const rows = [element("div", first === last ? `step ${whole(first)}` : `steps ${whole(first)} to ${whole(last)}`)];
    const when = history.mean.unix_seconds?.[this.place];
    if (known(when)) rows.push(element("div", time(when)));
    for (const line of this.shown) {
      const mean = history.mean[line.key][this.place];
      if (!known(mean)) continue;
      this.svg.append(shape("circle", { class: `dot ${line.colour}`, cx: left, cy: view.y(mean), r: 3.5 }));
      const row = element("div");
      const range = history.least ? ` (${digits(history.least[line.key][this.place])} to ${digits(history.largest[line.key][this.place])})` : "";
      row.append(element("span", line.name), element("b", digits(mean, 5) + range));
      rows.push(row);
    }
    this.tip.replaceChildren(...rows);
    this.tip.hidden = false;
    const room = this.figure.clientWidth - this.tip.offsetWidth;
    this.tip.style.left = `${Math.max(0, Math.min(room, left < view.width / 2 ? left + 12 : left - this.tip.offsetWidth - 12))}px`;
    this.tip.style.top = `${this.svg.offsetTop + 8}px`;
  }
}
