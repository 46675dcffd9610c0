// Recordings: send one, watch the jobs, open their timelines.
import { badge, byId, empty, fill, make, row } from "./dom.js";
import { listed, post, query, remove, sendFile } from "./api.js";
import { ask, busy, complain, failed, say } from "./talk.js";
import { clock, count, percent, when } from "./words.js";

const SHOWN = 50, EVERY_MS = 1500, LIVE = ["queued", "running", "cancelling"];
const STATES = { queued: ["Waiting", ""], running: ["Listening", ""], cancelling: ["Stopping", "warn"], done: ["Done", "good"], failed: ["Failed", "bad"], cancelled: ["Cancelled", "warn"] };
const list = byId("list"), more = byId("more"), form = byId("new"), sending = byId("sending"), begin = byId("begin");
let jobs = [], shown = SHOWN, timer = null;

async function load() {
  jobs = (await listed("/v1/diarizations", "jobs")).reverse();
  show();
}

function show() {
  list.removeAttribute("aria-busy");
  more.hidden = jobs.length <= shown;
  clearTimeout(timer);
  if (jobs.some((job) => LIVE.includes(job.state))) timer = setTimeout(() => load().catch(complain), EVERY_MS);
  if (!jobs.length) { fill(list, empty("No recording yet", "Choose an audio file above; its timeline appears here.")); return; }
  const focused = document.activeElement?.dataset?.act;
  fill(list, make("table", { class: "grid folds" },
    make("thead", {}, make("tr", {}, ["Recording", "State", "What was found", "Begun", "Kept until", ""].map((head) => make("th", { scope: "col" }, head || make("span", { class: "unseen" }, "Actions"))))),
    make("tbody", {}, jobs.slice(0, shown).map(line))));
  if (focused) list.querySelector(`[data-act="${focused}"]`)?.focus();
}

function line(job) {
  const [word, kind] = STATES[job.state];
  return row(
    ["", job.state === "done" ? make("a", { class: "name", href: `/console/recordings/${job.id}`, data: { act: `open-${job.id}` } }, job.recording) : make("b", {}, job.recording)],
    ["State", [badge(word, kind), LIVE.includes(job.state) && job.progress !== null ? make("progress", { class: "bar", max: 1, value: job.progress, "aria-label": `${job.recording}: ${percent(job.progress)}` }) : null]],
    ["Found", found(job)],
    ["Begun", make("span", { class: "number" }, when(job.created_at))],
    ["Kept until", make("span", { class: "number" }, job.due_at ? when(job.due_at) : "")],
    ["", action(job), "right"],
  );
}

function found(job) {
  if (job.error) return make("span", { class: "soft" }, job.error.message);
  if (!job.summary) return "";
  const { speakers, named, duration_s: duration } = job.summary;
  return make("span", {}, [duration !== undefined ? clock(duration) : null, speakers !== undefined ? count(speakers, "speaker") : null, named ? `${named} named` : null].filter(Boolean).join(" · "));
}

function action(job) {
  if (LIVE.includes(job.state)) {
    return make("button", { type: "button", class: "button small", data: { act: `cancel-${job.id}` }, "aria-label": `Cancel ${job.recording}`, disabled: job.state === "cancelling",
      on: { click: (event) => busy(event.currentTarget, async () => { await post(`/v1/diarizations/${job.id}/cancel`); await load(); }) } }, "Cancel");
  }
  return make("button", { type: "button", class: "button small plain danger", data: { act: `delete-${job.id}` }, "aria-label": `Delete ${job.recording}`,
    on: { click: (event) => discard(job, event.currentTarget) } }, "Delete");
}

async function discard(job, button) {
  const given = await ask({ title: `Delete ${job.recording}?`, text: "The timeline and its corrections are deleted. The recording itself is not kept here in any case.", action: "Delete", danger: true });
  if (!given) return;
  await busy(button, async () => { await remove(`/v1/diarizations/${job.id}`); say(`${job.recording} was deleted.`); await load(); });
}

// Voices nobody is found for are kept only on stated grounds.
const keeping = () => (byIdOrNull("basis")?.value.trim() ? { basis: byIdOrNull("basis").value.trim(), remember_days: byIdOrNull("days").value } : {});
const byIdOrNull = (id) => document.getElementById(id);

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const [file] = byId("file").files;
  if (!file) return;
  sending.hidden = false;
  await busy(begin, async () => {
    await sendFile(query("/v1/diarizations", { speakers: byId("speakers").value, watchlist: byIdOrNull("watchlist")?.value, ...keeping() }), file, (share) => { sending.value = share; });
    form.reset();
    say(`${file.name} was received.`);
    await load();
  });
  sending.hidden = true;
});
more.addEventListener("click", () => { shown += SHOWN * 4; show(); });

async function offerWatchlists() {
  const watchlists = await listed("/v1/watchlists", "watchlists");
  byId("watchlist").append(...watchlists.map((one) => make("option", { value: one.id }, one.title)));
}

if (byIdOrNull("watchlist")) offerWatchlists().catch(complain);
load().catch((error) => failed(list, error));
