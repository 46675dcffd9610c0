// Numbers and times in words. Times come from the server as ISO 8601 and are shown in the reader's zone.

const date = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

export const day = (iso) => (iso ? date.format(new Date(iso)) : "");
export const when = (iso) => (iso ? moment.format(new Date(iso)) : "");
export const precisely = (iso) => (iso ? exact.format(new Date(iso)) : "");

/** Return seconds as `7.4 s`, from two minutes on as `3 min 20 s`, from two hours on as `2 h 5 min`. */
export function seconds(value) {
  if (value === null || value === undefined) return "";
  if (value < 120) return `${value < 10 ? value.toFixed(1) : Math.round(value)}\u00a0s`;
  const whole = Math.round(value), minutes = Math.floor(whole / 60);
  if (minutes < 120) return whole % 60 ? `${minutes} min ${whole % 60} s` : `${minutes} min`;
  return minutes % 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${Math.floor(minutes / 60)} h`;
}

/** Return seconds as a clock shows them: `0:07`, `1:02:03`, with tenths where asked. */
export function clock(value, tenths = false) {
  const units = tenths ? Math.round(value * 10) / 10 : Math.round(value);
  const whole = Math.floor(units + 1e-9), hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  const two = (n) => String(n).padStart(2, "0");
  const text = (hours ? `${hours}:${two(minutes)}` : String(minutes)) + `:${two(whole % 60)}`;
  return tenths ? `${text}.${Math.round((units - whole) * 10)}` : text;
}

export const percent = (share, digits = 0) => (share === null || share === undefined ? "" : `${(100 * share).toFixed(digits)}\u00a0%`);
export const count = (n, one, many = `${one}s`) => `${n.toLocaleString()} ${n === 1 ? one : many}`;
export const signed = (value, digits = 1) => (value === null || value === undefined ? "" : `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(digits)}`);

/** Return `in 3 days`, `2 hours ago`. */
export function fromNow(iso) {
  const spent = (new Date(iso) - Date.now()) / 1000, words = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
  for (const [unit, length] of [["year", 31557600], ["month", 2629800], ["day", 86400], ["hour", 3600], ["minute", 60]]) {
    if (Math.abs(spent) >= length) return words.format(Math.round(spent / length), unit);
  }
  return words.format(Math.round(spent), "second");
}

const PURPOSES = {
  "verify": "Verify a claim",
  "identify": "Identify among all",
  "diarize-name": "Name in recordings",
  "watchlist": "Watchlist",
  "training": "Training of models",
};
export const purpose = (name) => PURPOSES[name] || name;

const SHORT = { "verify": "Verify", "identify": "Identify", "diarize-name": "Name", "watchlist": "Watchlist", "training": "Training" };

/** Return purposes in their usual order; and the same as short words. */
export const inOrder = (names) => Object.keys(PURPOSES).filter((name) => names.includes(name));
export const purposes = (names) => inOrder(names).map((name) => SHORT[name]);
