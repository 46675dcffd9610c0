// The API, from this page: the session's cookie goes along by itself, the CSRF token as a header with every change.

const csrf = () => document.querySelector('meta[name="csrf"]')?.content || "";
const SIGN_IN = "/console/sign-in";

/** A refusal of the service: `code` is stable, `message` is a sentence for people. */
export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || body.title || `The service answered ${status}.`);
    this.status = status;
    this.code = body.code || "unknown";
    this.body = body;
  }
}

/** Return the answer to a request, as JSON; null when it has no body. Who is not signed in any more is sent to sign in. */
export async function call(method, path, { json, body, type, headers = {}, signal, stay = false } = {}) {
  const sent = { ...headers };
  if (method !== "GET") sent["X-Voxid-CSRF"] = csrf();
  if (json !== undefined) { sent["Content-Type"] = "application/json"; body = JSON.stringify(json); }
  else if (type) sent["Content-Type"] = type;
  let answer;
  try {
    answer = await fetch(path, { method, headers: sent, body, signal, credentials: "same-origin", redirect: "error" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { detail: "The service did not answer. Is it running?", code: "no_answer" });
  }
  const text = await answer.text();
  let value = null;
  try { value = text ? JSON.parse(text) : null; } catch { value = null; }
  if (answer.ok) return value;
  if (answer.status === 401 && !stay) location.assign(`${SIGN_IN}?next=${encodeURIComponent(location.pathname + location.search)}`);
  throw new Problem(answer.status, value || {});
}

export const get = (path, options) => call("GET", path, options);
export const post = (path, json, options = {}) => call("POST", path, { json, ...options });
export const put = (path, json, options = {}) => call("PUT", path, { json, ...options });
export const patch = (path, json, options = {}) => call("PATCH", path, { json, ...options });
export const remove = (path, options) => call("DELETE", path, options);

/** Return the items of a list that comes in pages: all of it, or at least `most`. */
export async function listed(path, name, most = Infinity) {
  const found = [];
  let after = null;
  do {
    const page = await get(query(path, { limit: 200, after }));
    found.push(...page[name]);
    after = page.next;
  } while (after !== null && found.length < most);
  return found;
}

/** Send audio as the body itself. */
export const upload = (path, blob, options = {}) => call("POST", path, { body: blob, type: blob.type || "application/octet-stream", ...options });

/** Send a file as the body itself, with its name; `onShare` is told what share has gone. `fetch` cannot tell that. */
export function sendFile(path, file, onShare) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", path);
    request.setRequestHeader("X-Voxid-CSRF", csrf());
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.setRequestHeader("Content-Disposition", `attachment; filename*=UTF-8''${encodeURIComponent(file.name).replace(/['()*]/g, (one) => `%${one.charCodeAt(0).toString(16)}`)}`);
    request.upload.addEventListener("progress", (event) => { if (event.lengthComputable) onShare(event.loaded / event.total); });
    request.addEventListener("error", () => reject(new Problem(0, { detail: "The service did not take the file; is it too large, or was the connection lost?", code: "no_answer" })));
    request.addEventListener("load", () => {
      let value = {};
      try { value = JSON.parse(request.responseText); } catch { value = {}; }
      if (request.status < 300) resolve(value); else reject(new Problem(request.status, value));
    });
    request.send(file);
  });
}

/** Ask for a file with a POST, and hand it to the person under a name. */
export async function download(path, json, name) {
  const answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json", "X-Voxid-CSRF": csrf() }, body: JSON.stringify(json), credentials: "same-origin" });
  if (!answer.ok) throw new Problem(answer.status, await answer.json());
  keep(await answer.blob(), name);
}

/** Hand a blob to the person as a file. */
export function keep(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** Return a path with its query; what is null or empty is left out. */
export function query(path, values) {
  const given = Object.entries(values).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}

/** A key by which the service knows a repeated request. */
export const once = () => ({ "Idempotency-Key": crypto.randomUUID ? crypto.randomUUID() : String(Math.random()).slice(2) + Date.now() });

export async function signOut() {
  await remove("/v1/session");
  location.assign(SIGN_IN);
}
