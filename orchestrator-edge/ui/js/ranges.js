// Stretches of time that charts and tables are of, and the places of their hours, days or months: those without any use too.

export const HOUR = 3600000;
export const DAY = 24 * HOUR;

/** What one chooses from; `interval` is how finely it is shown. */
export const RANGES = {
  "24h": { hours: 24, interval: "hour" },
  "7d": { hours: 7 * 24, interval: "hour" },
  "30d": { hours: 30 * 24, interval: "day" },
  "90d": { hours: 90 * 24, interval: "day" },
  "365d": { hours: 365 * 24, interval: "month" },
};

/** The hour, day or month (UTC, as the statistics are kept) in which a moment lies. */
export function floor(time, interval) {
  if (interval === "month") {
    const date = new Date(time);
    return Date.UTC(date.getUTCFullYear(), date.getUTCMonth());
  }
  const size = interval === "day" ? DAY : HOUR;
  return Math.floor(time / size) * size;
}

function next(time, interval) {
  if (interval !== "month") return time + (interval === "day" ? DAY : HOUR);
  const date = new Date(time);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1);
}

/** The first place of a range that ends now. */
export const beginning = (range, interval = RANGES[range].interval, now = Date.now()) => {
  const start = floor(now - RANGES[range].hours * HOUR, interval);
  return interval === "month" ? start : next(start, interval);
};

/** Every place from `from` up to `to`, in milliseconds; at most 1,000. */
export function places(from, to, interval) {
  const found = [];
  for (let time = floor(from, interval); time < to && found.length < 1000; time = next(time, interval)) found.push(time);
  return found;
}
