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

const shade = (series, place) => series[place].colour ?? `--chart-${(place % 6) + 1}`;

/** Each series with all that lie behind it: the first is drawn first, and is the highest. */
const stack = (lists) => lists.map((_, place) => lists[0].map((_, at) => lists.slice(place).reduce((sum, list) => sum + (list[at] ?? 0), 0)));

/** `times`: seconds since 1970; `series`: `[{ label, values, format, colour }]`, drawn in the chart's colours or the one that is named; `bars`,
 *  `stacked` on each other. `height` in pixels. Values are shown in the legend for the place under the pointer. */
export function Chart({ times, series, height = 200, bars = false, stacked = false, format = String, label }) {
  const box = useRef(null);
  const legend = useRef(null);
  const data = JSON.stringify([times, series.map((one) => [one.label, one.values, one.colour])]);
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
        plot = new Plot(options(Plot, { series, height, bars, format, legend: legend.current, width: box.current.clientWidth }), [times, ...drawn(series, stacked)], box.current);
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
  }, [data, height, bars, stacked, locale.value]);
  return html`<div class="chart" role="img" aria-label=${label}><div ref=${box} style=${{ minHeight: `${height}px` }}></div>
    <div class="legend" ref=${legend}>${series.map((one, place) => html`<span key=${one.label}><i style=${{ background: `var(${shade(series, place)})` }}></i>${one.label} <b></b></span>`)}</div></div>`;
}

const drawn = (series, stacked) => (stacked && series.length ? stack(series.map((one) => one.values)) : series.map((one) => one.values));

/** Charts that are drawn anew in other colours. */
const themes = new Set();
export const redrawCharts = () => themes.forEach((draw) => draw());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawCharts);

function options(Plot, { series, height, bars, format, legend, width }) {
  const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1, size: 4 }, font: `12px ${colour("--font")}` };
  const widest = (_, values) => Math.max(40, 14 + 7 * Math.max(0, ...(values ?? []).map((value) => value.length)));
  const paths = bars ? Plot.paths.bars({ size: [0.7, 40], radius: 0.15 }) : Plot.paths.linear();
  return {
    width,
    height,
    padding: [10, 22, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false } },
    scales: { x: { time: true, range: (plot, low, high) => edges(plot, low, high, bars) }, y: { range: (_, low, high) => [Math.min(0, low ?? 0), (high || 1) * 1.08] } },
    axes: [{ ...axis, size: 30, space: 76, values: times() }, { ...axis, size: widest, values: (_, values) => values.map((value) => format(value)) }],
    series: [{}, ...series.map((one, place) => ({
      label: one.label,
      stroke: colour(shade(series, place)),
      fill: bars || series.length === 1 ? `${colour(shade(series, place))}${bars ? "" : "1f"}` : undefined,
      width: bars ? 0 : 1.75,
      paths,
      points: { show: false },
      spanGaps: false,
    }))],
    hooks: {
      setCursor: [(plot) => {
        const at = plot.cursor.idx;
        [...legend.querySelectorAll("b")].forEach((element, place) => {
          const value = at === null || at === undefined ? null : series[place]?.values[at];
          element.textContent = value === null || value === undefined ? "" : (series[place].format ?? format)(value);
        });
      }],
    },
  };
}

/** Bars at the ends need half of their place more; a single moment needs some place at all. */
function edges(plot, low, high, bars) {
  const [all] = plot.data;
  if (low === null || low === undefined) return [low, high];
  const half = all.length > 1 ? (all[1] - all[0]) / 2 : 1800;
  return bars || low === high ? [low - half, high + half] : [low, high];
}

function times() {
  return (plot, values) => {
    const spread = (values.at(-1) ?? 0) - (values[0] ?? 0);
    const style = spread > 2 * 86400 ? { month: "short", day: "numeric" } : { hour: "2-digit", minute: "2-digit" };
    const text = new Intl.DateTimeFormat(locale.value, style);
    return values.map((value) => text.format(new Date(value * 1000)));
  };
}
