"use strict";
// Column heads of sortable tables become buttons; without this script a table is as it came, whole and the best first.
const keyOf = (row, column) => row.cells[column].dataset.sort ?? row.cells[column].textContent.trim();
const isNumber = (text) => text !== "" && Number.isFinite(Number(text));
const compare = (a, b) => (isNumber(a) && isNumber(b) ? Number(a) - Number(b) : a.localeCompare(b, "en"));

for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const sort = (column, sign) => {
    const rows = [...body.rows].map((row) => [keyOf(row, column), row]);
    const known = rows.filter(([text]) => text !== "").sort(([a], [b]) => sign * compare(a, b));
    const missing = rows.filter(([text]) => text === ""); // last, whichever way the column is sorted
    body.append(...[...known, ...missing].map(([, row]) => row));
    heads.forEach((head, at) => (at === column ? head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending") : head.removeAttribute("aria-sort")));
    table.dispatchEvent(new Event("sorted"));
  };
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const first = Number(head.dataset.first ?? 1); // of a score one wants the highest first
      const now = head.getAttribute("aria-sort");
      sort(column, now === null ? first : now === "ascending" ? -1 : 1);
    });
  });
  if (table.classList.contains("board")) heads[0].setAttribute("aria-sort", "ascending");
}

// The leaderboard: filters by words and by setting, and no more rows at first than one reads.
const FIRST = 30;
for (const form of document.querySelectorAll("form.filters")) {
  const section = form.closest("section");
  const table = section.querySelector("table.board");
  const more = section.querySelector(".more");
  const columnOf = Object.fromEntries([...table.tHead.rows[0].cells].map((head, at) => [head.dataset.key, at]));
  const texts = new Map([...table.tBodies[0].rows].map((row) => [row, row.textContent.toLowerCase()]));
  const shownAs = (row, key) => {
    const cell = row.cells[columnOf[key]];
    return (cell.querySelector(".end") ?? cell).textContent.trim();
  };
  let all = false;
  const apply = () => {
    const words = form.elements.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const chosen = [...form.querySelectorAll("select")].filter((select) => select.value);
    const fits = (row) => words.every((word) => texts.get(row).includes(word)) && chosen.every((select) => shownAs(row, select.dataset.key) === select.value);
    let found = 0;
    for (const row of table.tBodies[0].rows) {
      const fit = fits(row);
      found += fit;
      row.hidden = !fit || (!all && found > FIRST);
    }
    const held = all ? 0 : Math.max(0, found - FIRST);
    more.hidden = held === 0;
    more.firstElementChild.textContent = `Show ${held} more`;
    form.querySelector("output").value = found === texts.size ? "" : `${found} of ${texts.size}`;
  };
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(apply));
  table.addEventListener("sorted", apply);
  more.firstElementChild.addEventListener("click", () => {
    all = true;
    apply();
  });
  addEventListener("beforeprint", () => {
    all = true;
    apply();
  });
  form.hidden = texts.size < 4;
  apply();
}
