// Pictures: values where the pointer is or the arrow keys lead, and the same runs marked in all pictures and tables.
const DATA = JSON.parse(document.getElementById("page-data").textContent);
const NEAR = 14; // in the coordinates of a picture
const IN_CELL = 24; // from the centre of a cell of a heat map to its corner
const chosen = { pinned: new Set(), filtered: null, pointed: null }; // numbers of runs
const tip = document.createElement("div");
const spoken = document.createElement("p");
tip.className = "tip";
tip.hidden = true;
spoken.className = "spoken";
spoken.setAttribute("role", "status");
document.body.append(tip, spoken);

const shownNumber = (value) => String(Number(value.toPrecision(6))).replace("-", "\u2212");

function shareOf(value, [low, high], isLog) {
  const scale = isLog ? Math.log10 : (one) => one;
  return (scale(value) - scale(low)) / (scale(high) - scale(low));
}

// Where a point of the data lies in its SVG.
function placeOf(panel, x, y) {
  const [left, top, width, height] = panel.box;
  return [left + shareOf(x, panel.x, panel.log[0]) * width, top + (1 - shareOf(y, panel.y, panel.log[1])) * height];
}

function sentenceOf(panel, mark, point) {
  if (mark.texts.length) return [mark.label, mark.texts[point]];
  const [x, y] = [mark.x[point], mark.y[point]].map(shownNumber);
  const bars = (mark.bars || [0, 0]).map((bar) => (bar ? ` \u00b1 ${shownNumber(bar)}` : ""));
  const band = mark.low.length ? ` (${shownNumber(mark.low[point])} to ${shownNumber(mark.high[point])})` : "";
  const lines = [mark.label, `${panel.labels[1]}: ${y}${bars[1]}${band}`, `${panel.labels[0]}: ${x}${bars[0]}`];
  return mark.note ? [...lines, mark.note] : lines;
}

function highlight() {
  const runs = chosen.pointed || (chosen.pinned.size ? chosen.pinned : chosen.filtered);
  const isOn = (numbers) => runs !== null && numbers.some((one) => runs.has(one));
  document.querySelectorAll("svg.picture").forEach((svg) => {
    const marks = DATA.pictures[svg.dataset.picture].marks;
    svg.classList.toggle("picking", runs !== null);
    svg.querySelectorAll("[data-mark]").forEach((one) => one.classList.toggle("on", isOn(marks[one.dataset.mark].runs)));
  });
  document.querySelectorAll("tr[data-runs]").forEach((row) => {
    const numbers = runsOf(row);
    row.classList.toggle("on", runs !== chosen.filtered && isOn(numbers));
    const button = row.querySelector("button.pin");
    if (button) button.setAttribute("aria-pressed", String(numbers.every((one) => chosen.pinned.has(one))));
  });
}

const runsOf = (row) => row.dataset.runs.split(" ").filter(Boolean).map(Number);

function point(runs) {
  const next = runs === null ? null : new Set(runs);
  const isSame = (next === null) === (chosen.pointed === null) && (!next || (next.size === chosen.pointed.size && [...next].every((one) => chosen.pointed.has(one))));
  if (isSame) return;
  chosen.pointed = next;
  highlight();
}

function pin(runs) {
  const areIn = runs.every((one) => chosen.pinned.has(one));
  runs.forEach((one) => (areIn ? chosen.pinned.delete(one) : chosen.pinned.add(one)));
  highlight();
}

function showTip(lines, x, y) {
  tip.replaceChildren(...lines.map((line) => Object.assign(document.createElement("div"), { textContent: line })));
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const left = Math.min(x + 14, document.documentElement.clientWidth - width - 4);
  const top = y + 18 + height > window.innerHeight ? y - height - 12 : y + 18;
  tip.style.left = `${Math.max(4, left)}px`;
  tip.style.top = `${Math.max(4, top)}px`;
}

function makeInteractive(svg) {
  const { panels, marks } = DATA.pictures[svg.dataset.picture];
  const title = svg.querySelector("title");
  const isOfRuns = marks.some((mark) => mark.runs.length);
  svg.setAttribute("aria-label", `${title.textContent}. Arrow keys lead from value to value.${isOfRuns ? " Enter marks the runs." : ""}`);
  svg.removeAttribute("aria-labelledby");
  title.remove(); // a browser shows it where the values are to be
  svg.setAttribute("role", "application"); // so that a screen reader leaves the arrow keys to it
  svg.setAttribute("aria-roledescription", "picture");
  svg.setAttribute("tabindex", "0");
  const points = marks.flatMap((mark, number) => mark.x.map((x, index) => {
    const [left, top] = placeOf(panels[mark.panel], x, mark.y[index]);
    return { mark, number, index, left, top };
  })).filter((one) => Number.isFinite(one.left) && Number.isFinite(one.top));
  const ring = document.createElementNS(svg.namespaceURI, "circle");
  ring.setAttribute("r", "5");
  ring.setAttribute("class", "ring");
  ring.setAttribute("visibility", "hidden");
  svg.append(ring);
  let at = -1; // index in points of what the keys or the pointer have reached

  function show(found, says) {
    const { mark, index, left, top } = found;
    at = points.indexOf(found);
    ring.setAttribute("cx", left);
    ring.setAttribute("cy", top);
    ring.setAttribute("visibility", "visible");
    const place = new DOMPoint(left, top).matrixTransform(svg.getScreenCTM());
    const lines = sentenceOf(panels[mark.panel], mark, index);
    showTip(lines, place.x, place.y);
    point(mark.runs.length ? mark.runs : null);
    if (says) spoken.textContent = lines.join(". ");
  }
  function hide() {
    tip.hidden = true;
    ring.setAttribute("visibility", "hidden");
    point(null);
  }
  function nearest(event) {
    const place = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    let [best, least] = [null, Infinity];
    for (const one of points) {
      const distance = Math.hypot(one.left - place.x, one.top - place.y);
      const reach = one.mark.texts.length ? IN_CELL : NEAR;
      if (distance < Math.min(reach, least)) [best, least] = [one, distance];
    }
    return best;
  }
  // Left and right go along a line, or to the next point; up and down to the next line or point.
  function next(key) {
    if (key === "End") return points[points.length - 1];
    if (at < 0 || key === "Home") return points[0];
    const here = points[at];
    const step = key === "ArrowLeft" || key === "ArrowUp" ? -1 : 1;
    if (key === "ArrowLeft" || key === "ArrowRight") return points[at + step] || here;
    const others = points.filter((one) => one.number === here.number + step);
    const close = (one) => Math.abs(one.left - here.left);
    return others.sort((one, other) => close(one) - close(other))[0] || here;
  }
  svg.addEventListener("pointermove", (event) => {
    const found = nearest(event);
    if (found) show(found, false); else hide();
  });
  svg.addEventListener("pointerleave", hide);
  svg.addEventListener("blur", hide);
  svg.addEventListener("click", (event) => {
    const found = nearest(event);
    if (found) { show(found, true); pin(found.mark.runs); }
  });
  svg.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") {
      if (at >= 0) pin(points[at].mark.runs);
    } else if (/^Arrow|^Home$|^End$/.test(event.key) && points.length) {
      show(next(event.key), true);
    } else return;
    event.preventDefault();
  });
}

// A button in each row of runs marks them in the pictures; so does the pointer on the row, while it is there.
function makeLinked(row) {
  const runs = runsOf(row);
  if (!runs.length) return;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "pin";
  button.title = "Mark in the pictures";
  button.setAttribute("aria-pressed", "false");
  button.setAttribute("aria-label", `Mark ${row.cells[0].title} in the pictures`);
  button.addEventListener("click", () => pin(runs));
  const name = row.querySelector("th");
  name.prepend(button);
  row.addEventListener("pointerenter", () => point(runs));
  row.addEventListener("pointerleave", () => point(null));
}

document.querySelectorAll("svg.picture").forEach(makeInteractive);
if (Object.keys(DATA.pictures).length) document.querySelectorAll("tr[data-runs]").forEach(makeLinked);
document.querySelectorAll("table").forEach((table) => table.addEventListener("filtered", (event) => {
  const rows = event.detail && event.detail.filter((row) => row.dataset.runs);
  if (event.detail && !table.querySelector("tr[data-runs]")) return;
  chosen.filtered = rows ? new Set(rows.flatMap(runsOf)) : null;
  highlight();
}));
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  chosen.pinned.clear();
  point(null);
  highlight();
});
