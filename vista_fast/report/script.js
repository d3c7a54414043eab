"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("scripted");

  // Light and dark: the system's choice until the button is used.
  document.getElementById("theme").addEventListener("click", () => {
    const dark = root.dataset.theme
      ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });

  const tip = document.getElementById("tip");
  const say = (text, event) => {
    tip.textContent = text;
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    tip.style.left = Math.min(event.clientX + 14, innerWidth - box.width - 8) + "px";
    tip.style.top = Math.min(event.clientY + 16, innerHeight - box.height - 8) + "px";
  };
  const hush = () => { tip.hidden = true; };

  // Curves: the same step is marked in all charts that have it.
  const charts = [...document.querySelectorAll("[data-chart]")].map((figure) => ({
    svg: figure.querySelector("svg"),
    cursor: figure.querySelector(".cursor"),
    ...JSON.parse(figure.dataset.chart),
  }));
  const mark = (chart, step) => {
    const index = chart.steps.indexOf(step);
    if (index < 0) { chart.cursor.style.visibility = "hidden"; return; }
    const span = chart.steps[chart.steps.length - 1] - chart.steps[0] || 1;
    const x = chart.left + ((step - chart.steps[0]) / span) * chart.width;
    chart.cursor.setAttribute("x1", x);
    chart.cursor.setAttribute("x2", x);
    chart.cursor.style.visibility = "visible";
  };
  for (const chart of charts) {
    const kin = charts.filter((other) => other.svg.closest("section") === chart.svg.closest("section"));
    chart.svg.addEventListener("pointermove", (event) => {
      const box = chart.svg.getBoundingClientRect();
      const at = ((event.clientX - box.left) / box.width) * chart.of;
      const share = Math.min(1, Math.max(0, (at - chart.left) / chart.width));
      const target = chart.steps[0] + share * (chart.steps[chart.steps.length - 1] - chart.steps[0]);
      const index = chart.steps.reduce(
        (best, step, i) => (Math.abs(step - target) < Math.abs(chart.steps[best] - target) ? i : best), 0);
      kin.forEach((other) => mark(other, chart.steps[index]));
      const lines = Object.entries(chart.lines).map(([name, values]) => `${name}  ${values[index]}`);
      say([`step ${chart.steps[index]}`, ...lines].join("\n"), event);
    });
    chart.svg.addEventListener("pointerleave", () => {
      hush();
      kin.forEach((other) => { other.cursor.style.visibility = "hidden"; });
    });
  }

  // The timeline: what a span is.
  for (const svg of document.querySelectorAll(".timeline svg")) {
    svg.addEventListener("pointermove", (event) => {
      const text = event.target.dataset && event.target.dataset.say;
      if (text) say(text, event); else hush();
    });
    svg.addEventListener("pointerleave", hush);
  }

  // Trajectories: choose one, or a kind.
  const cards = [...document.querySelectorAll("[data-story]")];
  const open = (card) => {
    cards.forEach((other) => other.classList.toggle("on", other === card));
    document.querySelectorAll(".pane").forEach((pane) => {
      pane.classList.toggle("on", pane.id === `story-${card.dataset.story}`);
    });
  };
  cards.forEach((card) => card.addEventListener("click", () => open(card)));
  const filters = [...document.querySelectorAll("[data-filter]")];
  filters.forEach((button) => button.addEventListener("click", () => {
    filters.forEach((other) => other.classList.toggle("on", other === button));
    const kind = button.dataset.filter;
    cards.forEach((card) => { card.hidden = kind !== "all" && card.dataset.kind !== kind; });
    const first = cards.find((card) => !card.hidden);
    if (first) open(first);
  }));
})();
