"use strict";
window.azsimSweep = ({ data, figures, draw, make }) => {
  const { columns, points, front, feasible, axes, objectives, dimensions } = data;
  const MOST_LEVELS = 12;
  const every = points.map((_, place) => place);
  const levelsOf = (column) => [...new Set(columns[column].values.filter((v) => v !== null))]
    .sort((a, b) => (columns[column].numeric ? a - b : String(a).localeCompare(String(b), "en")));
  const escaped = (text) => String(text)
    .replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  const shown = (value) => (typeof value === "number" && !Number.isInteger(value)
    ? String(Number(value.toPrecision(5))) : String(value));

  // Filters: each is a function from a point's place to whether it stays.
  const filters = [];
  const fieldset = (title, ...inside) => make("fieldset", {}, make("legend", { textContent: title }), ...inside);
  const oneOf = (column, levels) => {
    const boxes = levels.map((level) => make("input", { type: "checkbox", checked: true, value: shown(level) }));
    filters.push((place) => {
      const value = columns[column].values[place];
      return value === null || boxes[levels.indexOf(value)].checked;
    });
    const labels = levels.map((level, at) => make("label", {}, boxes[at], shown(level)));
    return fieldset(columns[column].name, ...labels);
  };
  const between = (column) => {
    const known = columns[column].values.filter((value) => value !== null);
    const [least, most] = [known.reduce((a, b) => Math.min(a, b), Infinity), known.reduce((a, b) => Math.max(a, b), -Infinity)];
    const field = (word, bound) => make("input", {
      type: "number", step: "any", placeholder: shown(bound), ariaLabel: `${columns[column].name}: ${word}`,
    });
    const [low, high] = [field("at least", least), field("at most", most)];
    filters.push((place) => {
      const value = columns[column].values[place];
      if (value === null) return low.value === "" && high.value === "";
      return (low.value === "" || value >= Number(low.value)) && (high.value === "" || value <= Number(high.value));
    });
    return fieldset(columns[column].name, low, " to ", high);
  };
  const fields = [];
  for (const column of new Set([...axes, ...objectives])) {
    const levels = levelsOf(column);
    if (levels.length < 2) continue;
    if (axes.includes(column) && levels.length <= MOST_LEVELS) fields.push(oneOf(column, levels));
    else if (columns[column].numeric) fields.push(between(column));
  }
  const kinds = {
    "all points": () => true,
    "feasible points": (place) => feasible[place] === 1,
    "the front": (place) => front[place] === 1,
  };
  const kind = make("select", {}, ...Object.keys(kinds).map((textContent) => make("option", { textContent })));
  filters.push((place) => kinds[kind.value](place));

  // Choice of the two figures of the scatter plot.
  const numeric = columns.map((_, at) => at).filter((at) => columns[at].numeric);
  const choice = (chosen) => {
    const select = make("select", {}, ...numeric.map((at) => make("option", { value: at, textContent: columns[at].name })));
    select.value = chosen;
    return select;
  };
  const x = choice(objectives[0]);
  const y = choice(objectives[1] ?? numeric.find((at) => at !== objectives[0]) ?? objectives[0]);

  const classes = [
    ["a constraint does not hold", "#D55E00", "x", (place) => !feasible[place]],
    ["another point is better", "#8C8C8C", "circle", (place) => feasible[place] && !front[place]],
    ["on the front", "#0072B2", "diamond", (place) => front[place]],
  ];
  const described = (place) => [`point ${points[place]}`, ...new Set([...axes, ...objectives])]
    .map((at) => (typeof at === "string" ? at : `${columns[at].label} = ${escaped(shown(columns[at].values[place]))}`))
    .join("<br>");
  const scatter = (kept) => {
    const [across, up] = [Number(x.value), Number(y.value)];
    figures.pareto.data = classes.map(([name, color, symbol, belongs]) => {
      const mine = kept.filter(belongs);
      return {
        type: "scatter", mode: "markers", name: `${name} (${mine.length})`, showlegend: true,
        x: mine.map((place) => columns[across].values[place]),
        y: mine.map((place) => columns[up].values[place]),
        text: mine.map(described), hovertemplate: "%{text}<extra></extra>",
        marker: { color, symbol, size: symbol === "diamond" ? 11 : 8 },
      };
    });
    const { layout } = figures.pareto;
    layout.xaxis = { ...layout.xaxis, title: { text: columns[across].label } };
    layout.yaxis = { ...layout.yaxis, title: { text: columns[up].label } };
  };

  const scales = dimensions.map((column) => {
    const levels = levelsOf(column);
    const [low, high] = [levels[0], levels[levels.length - 1]];
    if (levels.length < 2) return { levels, place: () => 0.5 };
    if (!columns[column].numeric) return { levels, place: (value) => levels.indexOf(value) / (levels.length - 1) };
    return { levels, place: (value) => (value - low) / (high - low) };
  });
  const marks = () => scales.flatMap(({ levels, place }, row) => {
    const few = levels.length <= 6 ? levels : [levels[0], levels[levels.length - 1]];
    let last = -1;
    return few.filter((level) => {
      const fits = place(level) - last > 0.09;
      if (fits) last = place(level);
      return fits;
    }).map((level) => ({
      x: place(level), y: row, yshift: -9, showarrow: false, text: escaped(shown(level)).slice(0, 24),
      font: { size: 11 }, xanchor: place(level) < 0.05 ? "left" : place(level) > 0.95 ? "right" : "center",
    }));
  });
  const lines = (kept) => {
    const trace = ([name, color, , belongs], width) => {
      const mine = kept.filter(belongs);
      const result = {
        type: "scatter", mode: "lines", name: `${name} (${mine.length})`, showlegend: true,
        x: [], y: [], text: [], hovertemplate: "%{text}<extra></extra>", connectgaps: false,
        line: { color, width }, opacity: width > 1 ? 0.95 : 0.45,
      };
      for (const place of mine) {
        const text = described(place);
        dimensions.forEach((column, row) => {
          const value = columns[column].values[place];
          result.x.push(value === null ? null : scales[row].place(value));
          result.y.push(row);
          result.text.push(text);
        });
        result.x.push(null); result.y.push(null); result.text.push("");
      }
      return result;
    };
    figures.parallel.data = classes.map((each, at) => trace(each, at === 2 ? 2 : 0.8));
    figures.parallel.layout.annotations = marks();
  };

  const status = make("span", { role: "status", id: "shown-points" });
  const rows = new Map([...document.querySelectorAll("#points-table tbody tr")]
    .map((row) => [Number(row.cells[0].dataset.key), row]));
  const prepare = () => {
    const kept = every.filter((place) => filters.every((filter) => filter(place)));
    const keptPoints = new Set(kept.map((place) => points[place]));
    for (const [point, row] of rows) row.hidden = !keptPoints.has(point);
    status.textContent = `${kept.length} of ${points.length} points shown`;
    scatter(kept);
    lines(kept);
  };
  const update = () => { prepare(); draw("pareto"); draw("parallel"); };
  const reset = make("button", { type: "button", textContent: "Reset" });
  const form = make("div", {},
    make("div", { className: "controls" },
      make("label", {}, "Show ", kind), make("label", {}, "across ", x), make("label", {}, "up ", y), reset, status),
    make("div", { className: "filters" }, ...fields));
  const starts = [x.value, y.value];
  reset.addEventListener("click", () => {
    for (const input of form.querySelectorAll("input")) {
      if (input.type === "checkbox") input.checked = true; else input.value = "";
    }
    kind.selectedIndex = 0;
    [x.value, y.value] = starts;
    update();
  });
  form.addEventListener("input", update);
  document.getElementById("filters").append(form);
  prepare();
};
