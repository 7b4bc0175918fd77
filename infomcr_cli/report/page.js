"use strict";
// Sort a table by the column whose head is clicked, or reached by Tab and pressed; a third press restores the order.
const NEXT = { none: "ascending", ascending: "descending", descending: "none" };

function numberIn(text) {
  const found = /^\s*\(?([-\u2212]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)/i.exec(text);
  return found ? Number(found[1].replace("\u2212", "-")) : NaN;
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
    button.addEventListener("click", () => {
      const way = NEXT[head.getAttribute("aria-sort") || "none"];
      heads.forEach((one) => one.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", way);
      const rows = Array.from(original);
      if (way !== "none") rows.sort(byColumn(column, way === "ascending" ? 1 : -1));
      body.append(...rows);
    });
  });
}

function unfold() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const details = target && target.closest("details");
  if (details) {
    details.open = true;
    target.scrollIntoView();
  }
}

document.querySelectorAll("table").forEach((table) => table.rows.length > 2 && makeSortable(table));
window.addEventListener("hashchange", unfold);
window.addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
unfold();
