"use strict";
// Column heads of sortable tables become buttons; without this script a table stays complete and sorted by rank.
// On the leaderboard a setting is a tbody: its row, followed by those of its seeds, which move with it.
const keyOf = (row, column) => row.cells[column].dataset.sort ?? row.cells[column].textContent.trim();
const isNumber = (text) => text !== "" && Number.isFinite(Number(text));
const compare = (a, b) => (isNumber(a) && isNumber(b) ? Number(a) - Number(b) : a.localeCompare(b, "en"));
const unitsOf = (table) => (table.classList.contains("board") ? [...table.tBodies] : [...table.tBodies[0].rows]);
const firstRow = (unit) => unit.rows?.[0] ?? unit;

for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const sort = (column, sign) => {
    const units = unitsOf(table).map((unit) => [keyOf(firstRow(unit), column), unit]);
    const present = units.filter(([text]) => text !== "").sort(([a], [b]) => sign * compare(a, b));
    const missing = units.filter(([text]) => text === ""); // last in either direction
    units[0]?.[1].parentNode.append(...[...present, ...missing].map(([, unit]) => unit));
    heads.forEach((head, index) => (index === column ? head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending") : head.removeAttribute("aria-sort")));
    table.dispatchEvent(new Event("sorted"));
  };
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const first = Number(head.dataset.first ?? 1); // scores start with the highest
      const order = head.getAttribute("aria-sort");
      sort(column, order === null ? first : order === "ascending" ? -1 : 1);
    });
  });
  if (table.dataset.sorted) heads[Number(table.dataset.sorted)].setAttribute("aria-sort", "ascending");
}

// The leaderboard: filters by text and by setting over all of its tables, and a button that shows the remaining rows.
const FIRST = 30;
for (const form of document.querySelectorAll("form.filters")) {
  const section = form.closest("section");
  const tables = [...section.querySelectorAll("table.board")];
  const more = section.querySelector(".more");
  const columnsOf = new Map(tables.map((table) => [table, Object.fromEntries([...table.tHead.rows[0].cells].map((head, index) => [head.dataset.key, index]))]));
  const texts = new Map(tables.flatMap(unitsOf).map((unit) => [unit, unit.textContent.toLowerCase()]));
  const shownAs = (unit, key) => {
    const cell = firstRow(unit).cells[columnsOf.get(unit.closest("table"))[key]];
    return (cell.querySelector(".end") ?? cell).textContent.trim();
  };
  let all = false;
  const apply = () => {
    const words = form.elements.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const chosen = [...form.querySelectorAll("select")].filter((select) => select.value);
    const fits = (unit) => words.every((word) => texts.get(unit).includes(word)) && chosen.every((select) => shownAs(unit, select.dataset.key) === select.value);
    let matches = 0;
    for (const table of tables) {
      for (const unit of unitsOf(table)) {
        const fit = fits(unit);
        matches += fit;
        unit.hidden = !fit || (!all && matches > FIRST);
      }
      const group = table.closest(".group");
      if (group) group.hidden = unitsOf(table).every((unit) => unit.hidden);
    }
    const hidden = all ? 0 : Math.max(0, matches - FIRST);
    more.hidden = hidden === 0;
    more.firstElementChild.textContent = `Show ${hidden} more`;
    form.querySelector("output").value = matches === texts.size ? "" : `${matches} of ${texts.size}`;
  };
  // A setting's name says its values, so where the table is too wide the columns of the axes are hidden at first.
  const axes = form.elements.axes;
  const showAxes = () => tables.forEach((table) => table.classList.toggle("named", axes?.checked === false));
  if (axes) axes.defaultChecked = axes.checked = tables.every((table) => table.parentElement.scrollWidth <= table.parentElement.clientWidth);
  form.addEventListener("input", () => {
    showAxes();
    apply();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(() => {
    showAxes();
    apply();
  }));
  for (const table of tables) table.addEventListener("sorted", apply);
  more.firstElementChild.addEventListener("click", () => {
    all = true;
    apply();
  });
  addEventListener("beforeprint", () => {
    all = true;
    apply();
  });
  form.hidden = texts.size < 4 && axes?.checked !== false;
  showAxes();
  apply();
}
