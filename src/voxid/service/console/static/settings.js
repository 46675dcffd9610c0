// The tenant's policy and its API keys.
import { badge, byId, fill, make, row } from "./dom.js";
import { get, listed, post, put, remove } from "./api.js";
import { ask, busy, complain, failed, loading, say } from "./talk.js";
import { modelInUse } from "./model.js";
import { day } from "./words.js";

const ROLES = { operator: "enroll, verify, identify, recordings, live calls", reviewer: "reviews, corrections, disputes", auditor: "audit, figures", admin: "everything" };
const SPOOF = ["verify-spoof", "identify-spoof", "live-spoof"];
let policy = null;

async function showPolicy() {
  policy = await get("/v1/policies");
  const profiles = (await modelInUse())?.profiles || [];
  for (const [id, chosen] of [["verify-profile", policy.verify_profile], ["identify-profile", policy.identify_profile]]) {
    fill(byId(id), profiles.map((one) => make("option", { value: one.name, selected: one.name === chosen }, one.name)));
  }
  for (const id of SPOOF) byId(id).value = policy[id.replace("-", "_")];
  byId("purpose").value = policy.identify_purpose || "";
  byId("jurisdiction").value = policy.jurisdiction || "";
}

async function savePolicy() {
  await put("/v1/policies", {
    identify_purpose: byId("purpose").value.trim() || null, verify_profile: byId("verify-profile").value,
    identify_profile: byId("identify-profile").value, jurisdiction: byId("jurisdiction").value.trim() || null, version: policy.version,
    ...Object.fromEntries(SPOOF.map((id) => [id.replace("-", "_"), byId(id).value])),
  });
  await showPolicy();
  say("The policy was saved.");
}

async function showKeys() {
  const keys = await listed("/v1/keys", "keys"), list = byId("keys");
  list.removeAttribute("aria-busy");
  fill(list, make("table", { class: "grid folds" },
    make("thead", {}, make("tr", {}, ["Key", "For", "May", "Made", "State", ""].map((head) => make("th", { scope: "col" }, head || make("span", { class: "unseen" }, "Actions"))))),
    make("tbody", {}, keys.slice().reverse().map(line))));
}

function line(key) {
  const ended = key.revoked_at || (key.expires_at && new Date(key.expires_at) <= Date.now());
  return row(
    ["Key", make("span", { class: "code" }, key.id)], ["For", key.label], ["May", [...key.roles, ...key.scopes].join(", ")], ["Made", make("span", { class: "number" }, day(key.created_at))],
    ["State", ended ? badge(key.revoked_at ? "Revoked" : "Ended", "bad") : key.expires_at ? badge(`Until ${day(key.expires_at)}`, "warn") : badge("In force", "good")],
    ["", ended ? "" : [make("button", { type: "button", class: "button small plain", "aria-label": `Rotate ${key.id}`, on: { click: (event) => rotate(key, event.currentTarget) } }, "Rotate"),
      make("button", { type: "button", class: "button small plain danger", "aria-label": `Revoke ${key.id}`, on: { click: (event) => revoke(key, event.currentTarget) } }, "Revoke")], "right"]);
}

async function showMade(made) {
  byId("made").hidden = false;
  byId("key-text").textContent = made.key;
  await showKeys();
}

async function makeKey(button) {
  const label = make("div", { class: "field" }, make("label", { for: "label" }, "What it is for"), make("input", { class: "input", id: "label", name: "label", required: true, maxlength: 200, autocomplete: "off" }));
  const roles = make("fieldset", { class: "field" }, make("legend", {}, "What it may do"), make("div", { class: "checks" }, Object.entries(ROLES).map(([role, words]) => make("label", {}, make("input", { type: "checkbox", name: role }), make("span", {}, make("b", {}, role), make("span", { class: "soft" }, words))))));
  const until = make("div", { class: "field" }, make("label", { for: "until" }, "Ends on"), make("input", { class: "input", id: "until", name: "until", type: "date" }));
  const given = await ask({ title: "Make a key", action: "Make", fields: [label, roles, until] });
  if (!given) return;
  const made = await busy(button, () => post("/v1/keys", { label: given.label.trim(), roles: Object.keys(ROLES).filter((role) => given[role]), expires_at: given.until ? new Date(`${given.until}T23:59:59`).toISOString() : null }));
  if (made) await showMade(made);
}

async function rotate(key, button) {
  const given = await ask({ title: `Rotate ${key.id}?`, text: "A new key with the same rights is made; the old one is taken for one hour more.", action: "Rotate" });
  if (!given) return;
  const made = await busy(button, () => post(`/v1/keys/${key.id}/rotate`, {}));
  if (made) await showMade(made);
}

async function revoke(key, button) {
  const given = await ask({ title: `Revoke ${key.id}?`, text: `“${key.label}” is refused from now on, and so is every browser session opened with it.`, action: "Revoke", danger: true });
  if (given) await busy(button, async () => { await remove(`/v1/keys/${key.id}`); await showKeys(); });
}

const form = document.getElementById("policy"), keys = document.getElementById("keys");
if (form) {
  form.addEventListener("submit", (event) => { event.preventDefault(); busy(byId("save"), savePolicy); });
  loading(form, showPolicy()).catch(complain);
}
if (keys) {
  byId("make").addEventListener("click", (event) => makeKey(event.currentTarget));
  showKeys().catch((error) => failed(keys, error));
}
