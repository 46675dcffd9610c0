// The text format of Prometheus, read: https://prometheus.io/docs/instrumenting/exposition_formats/

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** Return name -> list of { labels, value }. */
export function parse(text) {
  const found = new Map();
  for (const line of text.split("\n")) {
    const match = line.startsWith("#") ? null : LINE.exec(line);
    if (!match) continue;
    const labels = Object.fromEntries(Array.from((match[2] || "").matchAll(LABEL), ([, name, value]) => [name, value.replace(/\\(.)/g, (_, one) => (one === "n" ? "\n" : one))]));
    if (!found.has(match[1])) found.set(match[1], []);
    found.get(match[1]).push({ labels, value: Number(match[3]) });
  }
  return found;
}

/** Return the sum over all series that `where` takes; null where there is none. */
export function total(metrics, name, where = () => true) {
  const series = (metrics.get(name) || []).filter((one) => where(one.labels));
  return series.length ? series.reduce((sum, one) => sum + one.value, 0) : null;
}

/**
 * Return a quantile of a histogram in seconds, straight within its bucket; null where nothing was counted. `before` are
 * earlier metrics, whose counts are taken off: then it is the quantile of what came since.
 */
export function quantile(metrics, name, q, where = () => true, before = null) {
  const counts = new Map();
  for (const [source, sign] of [[metrics, 1], [before, -1]]) {
    for (const { labels, value } of source?.get(`${name}_bucket`) || []) {
      if (where(labels)) counts.set(labels.le, (counts.get(labels.le) || 0) + sign * value);
    }
  }
  const buckets = Array.from(counts, ([le, count]) => [le === "+Inf" ? Infinity : Number(le), count]).sort((a, b) => a[0] - b[0]);
  const all = buckets.length ? buckets[buckets.length - 1][1] : 0;
  if (!all) return null;
  let low = 0, below = 0;
  for (const [bound, count] of buckets) {
    if (count >= q * all) return bound === Infinity ? low : low + (bound - low) * ((q * all - below) / Math.max(count - below, 1e-9));
    low = bound;
    below = count;
  }
  return low;
}
