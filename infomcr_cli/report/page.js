"use strict";
// Tables: sort by the column whose head is pressed, keep the rows that match a filter. The page is complete without it.
const NEXT = { none: "ascending", ascending: "descending", descending: "none" };
const FEWEST = 6; // rows of a table that can be filtered
const CONDITION = /^(.+?)(<=|>=|!=|<|>|=)(.+)$/;

function numberIn(text) {
  const found = /^\s*\(?([-\u2212]?(?:\d[\d,]*\.?\d*|\.\d+)(?:e[-+]?\d+)?)/i.exec(text);
  return found ? Number(found[1].replace("\u2212", "-").replaceAll(",", "")) : NaN;
}

function byColumn(column, sign) {
  return (one, other) => {
    const [a, b] = [one, other].map((row) => row.cells[column].textContent.trim());
    if ((a === "\u2013") !== (b === "\u2013")) return a === "\u2013" ? 1 : -1; // what is missing comes last
    const [x, y] = [numberIn(a), numberIn(b)];
    const difference = x - y;
    return sign * (Number.isNaN(difference) ? a.localeCompare(b, "en", { numeric: true }) : difference);
  };
}

function makeSortable(table) {
  const body = table.tBodies[0];
  const original = Array.from(body.rows);
  const heads = Array.from(table.tHead.rows[0].cells);
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const way = NEXT[head.getAttribute("aria-sort")];
      heads.forEach((one) => one.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", way);
      const rows = Array.from(original);
      if (way !== "none") rows.sort(byColumn(column, way === "ascending" ? 1 : -1));
      body.append(...rows);
    });
  });
}

function compares(sign, found, wanted) {
  const [x, y] = [numberIn(found), numberIn(wanted)];
  if (sign === "=" || sign === "!=") return ((x === y || found.toLowerCase() === wanted.toLowerCase()) === (sign === "="));
  return sign[0] === "<" ? x < y || (sign === "<=" && x === y) : x > y || (sign === ">=" && x === y);
}

// A word is kept if the row holds it, -word if it does not, COLUMN<NUMBER if the cell of that column fulfils it.
function testOf(word, heads) {
  const parts = CONDITION.exec(word);
  const column = parts ? heads.findIndex((head) => head.startsWith(parts[1].toLowerCase())) : -1;
  if (column >= 0) return (row) => compares(parts[2], row.cells[column].textContent.trim(), parts[3]);
  const isWithout = word.length > 1 && word.startsWith("-") && Number.isNaN(numberIn(word));
  const text = (isWithout ? word.slice(1) : word).toLowerCase();
  return (row) => row.textContent.toLowerCase().includes(text) !== isWithout;
}

// The name of a column of numbers that a filter can name: a word with which no earlier head begins.
function filterName(rows, heads) {
  const words = heads.map((head) => /^[^\s,<>=!]*/.exec(head)[0]);
  const isFirst = (column) => heads.findIndex((head) => head.startsWith(words[column])) === column;
  const isNumber = (row, column) => !Number.isNaN(numberIn(row.cells[column].textContent));
  const isNumeric = (column) => 2 * rows.filter((row) => isNumber(row, column)).length > rows.length;
  return words.find((word, column) => column > 0 && word && isFirst(column) && isNumeric(column));
}

function makeFilterable(table, number) {
  const rows = Array.from(table.tBodies[0].rows);
  const heads = Array.from(table.tHead.rows[0].cells, (head) => head.textContent.trim().toLowerCase());
  const [box, label, input, shown] = ["p", "label", "input", "output"].map((tag) => document.createElement(tag));
  box.className = "filter";
  input.type = "search";
  input.id = `filter-${number}`;
  const name = filterName(rows, heads);
  input.placeholder = `such as ${name ? `${name}<0 or ` : ""}a word, -word`;
  label.htmlFor = shown.htmlFor = input.id;
  label.textContent = `Filter ${table.caption.textContent} `;
  shown.setAttribute("role", "status");
  const count = () => { shown.textContent = ` ${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`; };
  input.addEventListener("input", () => {
    const tests = input.value.split(/\s+/).filter(Boolean).map((word) => testOf(word, heads));
    rows.forEach((row) => { row.hidden = !tests.every((test) => test(row)); });
    count();
    table.dispatchEvent(new CustomEvent("filtered", { detail: tests.length ? rows.filter((row) => !row.hidden) : null }));
  });
  count();
  box.append(label, input, shown);
  table.parentElement.before(box);
}

function fragment() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return location.hash.slice(1); // an address that ends in #% or the like
  }
}

function unfold() {
  const target = document.getElementById(fragment());
  const details = target && target.closest("details");
  if (details) {
    details.open = true;
    target.scrollIntoView();
  }
}

document.querySelectorAll("table").forEach((table, number) => {
  if ("list" in table.dataset) return;
  if (table.tBodies[0].rows.length >= FEWEST) makeFilterable(table, number);
  if (table.rows.length > 2) makeSortable(table);
});
window.addEventListener("hashchange", unfold);
window.addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
unfold();
