// Charts over time, drawn by uPlot, which is loaded when the first is shown.

import { html, useEffect, useRef } from "../lib.js";
import { locale } from "../i18n.js";

let library;
const load = () => {
  library ??= Promise.all([import("../../vendor/uplot.js"), style(new URL("../../vendor/uplot.css", import.meta.url))]);
  return library;
};

function style(href) {
  return new Promise((resolve, reject) => {
    const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href, onload: resolve, onerror: reject });
    document.head.append(link);
  });
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** `times`: seconds since 1970; `series`: `[{ label, values, format }]`, drawn in the chart's colours; `bars`, `stacked`. `height` in pixels.
 *  Values are shown in the legend for the place under the pointer. */
export function Chart({ times, series, height = 200, bars = false, format = String, label }) {
  const box = useRef(null);
  const legend = useRef(null);
  const data = JSON.stringify([times, series.map((one) => [one.label, one.values])]);
  useEffect(() => {
    let plot;
    let gone = false;
    let resize;
    let forget = () => {};
    load().then(([{ default: Plot }]) => {
      if (gone || !box.current) return;
      const draw = () => {
        plot?.destroy();
        box.current.textContent = "";
        plot = new Plot(options(Plot, { series, height, bars, format, legend: legend.current, width: box.current.clientWidth }), [times, ...series.map((one) => one.values)], box.current);
      };
      draw();
      resize = new ResizeObserver(() => plot.setSize({ width: box.current?.clientWidth || 300, height }));
      resize.observe(box.current);
      themes.add(draw);
      forget = () => themes.delete(draw);
    });
    return () => {
      gone = true;
      forget();
      resize?.disconnect();
      plot?.destroy();
    };
  }, [data, height, bars, locale.value]);
  return html`<div class="chart" role="img" aria-label=${label}><div ref=${box} style=${{ minHeight: `${height}px` }}></div>
    <div class="legend" ref=${legend}>${series.map((one, place) => html`<span key=${one.label}><i style=${{ background: `var(--chart-${(place % 6) + 1})` }}></i>${one.label} <b></b></span>`)}</div></div>`;
}

/** Charts that are drawn anew in other colours. */
const themes = new Set();
export const redrawCharts = () => themes.forEach((draw) => draw());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawCharts);

function options(Plot, { series, height, bars, format, legend, width }) {
  const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1, size: 4 }, font: `12px ${colour("--font")}` };
  const paths = bars ? Plot.paths.bars({ size: [0.7, 40], radius: 0.15 }) : Plot.paths.linear();
  return {
    width,
    height,
    padding: [10, 8, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false } },
    scales: { x: { time: true }, y: { range: (_, low, high) => [Math.min(0, low ?? 0), (high || 1) * 1.08] } },
    axes: [{ ...axis, values: times(bars) }, { ...axis, size: 62, values: (_, values) => values.map((value) => format(value)) }],
    series: [{}, ...series.map((one, place) => ({
      label: one.label,
      stroke: colour(`--chart-${(place % 6) + 1}`),
      fill: bars || series.length === 1 ? `${colour(`--chart-${(place % 6) + 1}`)}${bars ? "cc" : "1f"}` : undefined,
      width: bars ? 0 : 1.75,
      paths,
      points: { show: false },
      spanGaps: false,
    }))],
    hooks: {
      setCursor: [(plot) => {
        const at = plot.cursor.idx;
        [...legend.querySelectorAll("b")].forEach((element, place) => {
          const value = at === null || at === undefined ? null : plot.data[place + 1][at];
          element.textContent = value === null || value === undefined ? "" : (series[place].format ?? format)(value);
        });
      }],
    },
  };
}

function times() {
  return (plot, values) => {
    const spread = (values.at(-1) ?? 0) - (values[0] ?? 0);
    const style = spread > 2 * 86400 ? { month: "short", day: "numeric" } : { hour: "2-digit", minute: "2-digit" };
    const text = new Intl.DateTimeFormat(locale.value, style);
    return values.map((value) => text.format(new Date(value * 1000)));
  };
}
