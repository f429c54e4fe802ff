"use strict";
(() => {
  const body = document.querySelector("tbody");
  const table = document.querySelector("table");
  const none = document.querySelector(".none");
  const total = document.getElementById("total");
  const filter = document.getElementById("filter");
  const rows = [...body.rows].filter((row) => !row.classList.contains("up"));
  const said = total.textContent;
  const text = (row) => row.cells[0].textContent;
  const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

  // Dates in the reader's own time zone.
  const two = (number) => String(number).padStart(2, "0");
  for (const time of body.getElementsByTagName("time")) {
    const date = new Date(time.dateTime);
    if (isNaN(date)) continue;
    const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
    time.textContent = `${day} ${two(date.getHours())}:${two(date.getMinutes())}`;
  }

  const keys = [
    (row) => text(row),
    (row) => Number(row.cells[1].dataset.n ?? -1),
    (row) => row.cells[2].firstChild?.dateTime ?? "",
  ];
  const compare = [
    (a, b) => collator.compare(a, b),
    (a, b) => a - b,
    (a, b) => (a < b ? -1 : a > b ? 1 : 0),
  ];
  const heads = [...document.querySelectorAll("th[data-s]")];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const now = head.getAttribute("aria-sort");
      // Names rise first; the largest and the newest are what people look for.
      const first = column === 0 ? "ascending" : "descending";
      const other = column === 0 ? "descending" : "ascending";
      const next = now === first ? other : first;
      for (const each of heads) each.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", next);
      const sign = next === "ascending" ? 1 : -1;
      const keyed = rows.map((row) => [row.classList.contains("d"), keys[column](row), row]);
      keyed.sort((a, b) => b[0] - a[0] || sign * compare[column](a[1], b[1]));
      body.append(...keyed.map((entry) => entry[2]));
    });
  });

  if (rows.length > 1) filter.hidden = false;
  // Nothing to sort, and nothing to download.
  if (rows.length === 0) document.querySelector(".all").hidden = table.tHead.hidden = true;
  let names;
  filter.addEventListener("input", () => {
    const fold = (name) => name.normalize("NFC").toLowerCase();
    names ??= rows.map((row) => fold(text(row)));
    const wanted = fold(filter.value.trim()).split(/\s+/);
    let shown = 0;
    rows.forEach((row, at) => {
      const matches = wanted.every((part) => names[at].includes(part));
      row.hidden = !matches;
      shown += matches;
    });
    const all = filter.value.trim() === "";
    total.textContent = all ? said : `${shown.toLocaleString("en")} of ${rows.length.toLocaleString("en")} match`;
    none.hidden = shown > 0 || all;
    table.hidden = !none.hidden;
    none.textContent = `Nothing here matches \u201c${filter.value.trim()}\u201d.`;
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "/" && document.activeElement !== filter && !filter.hidden) {
      event.preventDefault();
      filter.focus();
    } else if (event.key === "Escape" && filter.value) {
      filter.value = "";
      filter.dispatchEvent(new Event("input"));
    }
  });
  // A browser brings the old filter back with the page.
  if (filter.value) filter.dispatchEvent(new Event("input"));
})();
