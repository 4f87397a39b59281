"use strict";
// Column heads of sortable tables become buttons; without this script the table is as it came, the best first.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const key = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.sort ?? cell.textContent.trim();
  };
  const isNumber = (text) => text !== "" && Number.isFinite(Number(text));
  const compare = (a, b) => (isNumber(a) && isNumber(b) ? Number(a) - Number(b) : a.localeCompare(b, "en"));
  const sort = (column, sign) => {
    const rows = [...body.rows].map((row) => [key(row, column), row]);
    const known = rows.filter(([text]) => text !== "").sort(([a], [b]) => sign * compare(a, b));
    const missing = rows.filter(([text]) => text === ""); // last, whichever way the column is sorted
    body.append(...[...known, ...missing].map(([, row]) => row));
    heads.forEach((head, at) => (at === column ? head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending") : head.removeAttribute("aria-sort")));
  };
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const first = button.textContent === "val mIoU" ? -1 : 1; // of a score one wants the highest first
      const now = head.getAttribute("aria-sort");
      sort(column, now === null ? first : now === "ascending" ? -1 : 1);
    });
  });
  heads[0].setAttribute("aria-sort", "ascending");
}
