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
      const key = (row) => {
        const cell = row.cells[column];
        return cell.querySelector("data")?.value ?? cell.textContent.trim();
      };
      const compare = (a, b) =>
        key(a).localeCompare(key(b), "en", { numeric: true });
      const numeric = (a, b) => Number(key(a)) - Number(key(b));
      const rows = [...body.rows];
      const filled = rows.filter((row) => key(row) !== "" && key(row) !== "—");
      const allNumbers = filled.every((row) => !Number.isNaN(Number(key(row))));
      filled.sort(allNumbers ? numeric : compare);
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
