// Tables sort by a click on a heading; a tap on a number shows where it comes from.
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const descending = heading.getAttribute("aria-sort") === "ascending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const body = table.tBodies[0];
      const isNumber = heading.classList.contains("number");
      // Of a column of numbers, cells with words instead stay below.
      const key = (row) => {
        const cell = row.cells[column];
        return isNumber ? cell.querySelector("data")?.value : cell.textContent.trim();
      };
      const compare = (a, b) =>
        isNumber
          ? Number(key(a)) - Number(key(b))
          : key(a).localeCompare(key(b), "en", { numeric: true });
      const rows = [...body.rows];
      const filled = rows.filter((row) => ![undefined, "", "—"].includes(key(row)));
      filled.sort(compare);
      if (descending) filled.reverse();
      body.append(...filled, ...rows.filter((row) => !filled.includes(row)));
    });
  });
}
const source = document.getElementById("source");
document.addEventListener("click", (event) => {
  const number = event.target.closest("data");
  source.hidden = !number;
  source.textContent = number ? number.title : "";
});
