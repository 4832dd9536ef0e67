"use strict";
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const figures = read("figures");
  const data = read("data");
  const make = (tag, properties = {}, ...inside) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...inside);
    return element;
  };

  // Tables: a button in each head; a second press turns the order round. Empty cells come last.
  const keyOf = (row, column) => {
    const cell = row.cells[column];
    const key = cell.dataset.key;
    return key === undefined ? cell.textContent : Number(key);
  };
  const before = (a, b) => {
    const words = (typeof a === "string") - (typeof b === "string");
    if (words !== 0) return words;
    return typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b;
  };
  const sortBy = (table, head, column) => {
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const body = table.tBodies[0];
    const keyed = [...body.rows].map((row) => [keyOf(row, column), row]);
    const full = keyed.filter(([key]) => key !== "");
    full.sort((a, b) => (down ? before(b[0], a[0]) : before(a[0], b[0])));
    const empty = keyed.filter(([key]) => key === "");
    body.append(...[...full, ...empty].map(([, row]) => row));
  };
  for (const table of document.querySelectorAll("table")) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = make("button", { type: "button", textContent: head.textContent });
      button.addEventListener("click", () => sortBy(table, head, column));
      head.replaceChildren(button);
    });
  }

  // Search: every word must be somewhere in the row.
  for (const field of document.querySelectorAll("input[data-search]")) {
    const rows = [...document.getElementById(field.dataset.search).tBodies[0].rows];
    const count = document.querySelector(`[data-count="${field.dataset.search}"]`);
    field.addEventListener("input", () => {
      const wanted = field.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !wanted.every((word) => text.includes(word));
        shown += row.hidden ? 0 : 1;
      }
      count.textContent = `${shown} of ${rows.length} rows`;
    });
  }

  // Figures take their colours from the page, so that they follow dark mode and paper.
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const PAPER_WIDTH = 680;
  let paper = false;
  const coarse = matchMedia("(pointer: coarse)").matches;
  const axesOf = (layout) => Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key));
  const themed = (layout) => {
    const result = {
      ...layout,
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { ...layout.font, color: colour("--text"), family: "system-ui, sans-serif", size: 12 },
      hoverlabel: {
        bgcolor: colour("--face"), bordercolor: colour("--line"),
        font: { color: colour("--text") }, align: "left", namelength: -1,
      },
      ...(paper ? { width: PAPER_WIDTH, autosize: false } : { width: undefined, autosize: true }),
      dragmode: coarse ? false : (layout.dragmode ?? "zoom"),
    };
    for (const axis of axesOf(layout)) {
      result[axis] = {
        ...layout[axis], gridcolor: colour("--grid"), zerolinecolor: colour("--line"),
        linecolor: colour("--line"), tickcolor: colour("--line"),
      };
    }
    if (layout.annotations) {
      result.annotations = layout.annotations.map((note) => ({
        ...note, bgcolor: colour("--back"), font: { ...note.font, color: colour("--text") },
      }));
    }
    if (layout.shapes) {
      result.shapes = layout.shapes.map((shape) => ({
        ...shape, line: { ...shape.line, color: colour("--quiet") },
      }));
    }
    return result;
  };
  const options = { displayModeBar: false, responsive: true, displaylogo: false, doubleClick: "reset" };
  const views = {};
  const tracesOf = (name) => {
    const chosen = figures[name].views[views[name]];
    return figures[name].data.map((trace, place) => (
      chosen ? { ...trace, visible: chosen.includes(place) } : trace
    ));
  };
  const draw = (name) => {
    const { layout } = figures[name];
    document.getElementById(name).style.height = `${layout.height}px`; // what resizing goes by
    return Plotly.react(name, tracesOf(name), themed(layout), options);
  };
  const drawAll = () => Promise.all(Object.keys(figures).map(draw));

  const addViews = (name, box) => {
    const names = Object.keys(figures[name].views);
    if (!names.length) return;
    const choice = make("select", {}, ...names.map((view) => make("option", { textContent: view })));
    choice.addEventListener("change", () => { views[name] = choice.value; draw(name); });
    views[name] = names[0];
    box.append(make("label", {}, "Show ", choice));
  };
  const addZoom = (name, box) => {
    const move = (shift, scale) => () => {
      const plot = document.getElementById(name);
      const [low, high] = plot.layout.xaxis.range.map(Number);
      const [middle, half] = [(low + high) / 2 + shift * (high - low), (high - low) / 2 * scale];
      Plotly.relayout(name, { "xaxis.range": [middle - half, middle + half] });
    };
    const [first, last] = figures[name].layout.xaxis.range;
    const all = () => Plotly.relayout(name, { "xaxis.range": [first, last] });
    const buttons = [
      ["Zoom in", move(0, 0.5)], ["Zoom out", move(0, 2)], ["Earlier", move(-0.25, 1)],
      ["Later", move(0.25, 1)], ["All", all],
    ];
    for (const [label, action] of buttons) {
      const button = make("button", { type: "button", textContent: label });
      button.addEventListener("click", action);
      box.append(button);
    }
  };
  for (const box of document.querySelectorAll("[data-controls]")) {
    const name = box.dataset.controls;
    addViews(name, box);
    if (box.dataset.zoom) addZoom(name, box);
  }

  const api = { data, figures, draw, make };
  if (window.azsimSweep) window.azsimSweep(api);
  drawAll().then(() => { document.documentElement.dataset.ready = "yes"; });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);

  // Paper: everything is opened, and the figures get the width of the sheet.
  let opened = [];
  const toPaper = () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const details of opened) details.open = true;
    paper = true;
    document.documentElement.dataset.paper = "yes"; // the sheet's colours, before it is laid out
    drawAll();
  };
  const toScreen = () => {
    for (const details of opened) details.open = false;
    paper = false;
    delete document.documentElement.dataset.paper;
    drawAll();
  };
  addEventListener("beforeprint", toPaper);
  addEventListener("afterprint", toScreen);
})();
