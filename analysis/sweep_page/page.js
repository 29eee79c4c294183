// Draws the charts of the page from its one JSON, and answers the switches of cells and seeds.
"use strict";
(() => {
  const page = JSON.parse(document.getElementById("data").textContent);
  const PRINTED = { wide: 660, narrow: 318 }; // pixels of a chart on paper

  /** Return the rows of a table, each with the name of its cell. */
  function rowsOf(columns) {
    const names = Object.keys(columns);
    const count = names.length ? columns[names[0]].length : 0;
    return Array.from({ length: count }, (_, index) => {
      const row = {};
      for (const name of names) row[name] = columns[name][index];
      const cell = page.cells[row.cell];
      row.name = cell.name;
      row.name_short = cell.short;
      return row;
    });
  }

  const rows = {};
  for (const [name, columns] of Object.entries(page.tables)) rows[name] = rowsOf(columns);
  const views = new Map();
  // Lines and letters stay sharp on paper as SVG; of many points a canvas is drawn faster.
  const renderer = rows.members.length <= 1000 ? "svg" : "canvas";

  async function draw(chart) {
    const place = document.getElementById(`chart-${chart.name}`);
    const datasets = {};
    for (const name of chart.tables) datasets[name] = rows[name].map((row) => ({ ...row })); // Vega marks its rows
    const options = { mode: "vega-lite", actions: false, ast: true, renderer };
    try {
      const { view } = await vegaEmbed(place, { ...chart.spec, datasets }, options);
      view.logLevel(1); // only errors: a chart whose cells are switched off has an empty extent
      views.set(place, view);
    } catch (error) {
      place.textContent = `This chart cannot be drawn: ${error}`;
      console.error(error);
    }
  }

  /** Return the places that are switched on, of cells or of groups of seeds. */
  function seen(kind) {
    const boxes = document.querySelectorAll(`input[data-switch="${kind}"]:checked`);
    return Array.from(boxes, (box) => Number(box.value));
  }

  function update() {
    const [cells, groups] = [seen("cells"), seen("groups")];
    for (const view of views.values()) view.signal("cells", cells).signal("groups", groups).runAsync();
    listMembers();
  }

  function resize(place, width) {
    const view = views.get(place);
    if (view) view.signal("width", width).run();
  }

  document.addEventListener("change", (event) => {
    if (event.target.dataset.switch) update();
  });
  document.addEventListener("click", (event) => {
    const { all, to } = event.target.dataset;
    if (!all) return;
    for (const box of document.querySelectorAll(`input[data-switch="${all}"]`)) box.checked = to === "on";
    update();
  });
  const contents = document.querySelector(".contents");
  for (const section of document.querySelectorAll("section[id]")) {
    const link = document.createElement("a");
    link.href = `#${section.id}`;
    link.textContent = section.querySelector("h2").textContent;
    contents.appendChild(document.createElement("li")).appendChild(link);
  }

  const list = document.getElementById("members");

  /** Fill the table of members, of the cells and seeds that are switched on, when it is unfolded. */
  function listMembers() {
    if (!list?.open) return;
    const [cells, groups] = [seen("cells"), seen("groups")];
    const shown = rows.members.filter((row) => cells.includes(row.cell) && groups.includes(row.group));
    shown.sort((a, b) => a.cell - b.cell || a.x - b.x || a.seed - b.seed);
    const columns = { cell: "name", [list.dataset.control]: "x", seed: "seed", status: "status", member_id: "member" };
    const table = list.querySelector("table");
    table.replaceChildren();
    const line = (parent) => parent.appendChild(document.createElement("tr"));
    const head = line(table.createTHead());
    for (const title of Object.keys(columns)) {
      const cell = head.appendChild(document.createElement("th"));
      cell.scope = "col";
      cell.textContent = title;
    }
    const body = table.createTBody();
    for (const row of shown) {
      const cells = line(body);
      for (const [title, name] of Object.entries(columns)) {
        const cell = cells.appendChild(document.createElement(title === "cell" ? "th" : "td"));
        if (title === "cell") cell.scope = "row";
        cell.dataset.name = title;
        cell.textContent = row[name];
      }
    }
  }
  list?.addEventListener("toggle", listMembers);

  const folded = []; // on paper nothing is folded
  window.addEventListener("beforeprint", () => {
    folded.push(...document.querySelectorAll("details:not([open]):not(#members)"));
    for (const part of folded) part.open = true;
    for (const place of views.keys()) resize(place, PRINTED[place.dataset.width]);
  });
  window.addEventListener("afterprint", () => {
    for (const part of folded.splice(0)) part.open = false;
    window.dispatchEvent(new Event("resize"));
  });
  Promise.all(page.charts.map(draw)).then(() => {
    document.documentElement.dataset.drawn = views.size;
  });
})();
