// What the page says to the person: messages, questions.
import { byId, fill, make } from "./dom.js";

const GOOD_MS = 6000;

/** Say that something was done; it goes away by itself. */
export function say(sentence) { post(sentence, "good"); }

/** Say what went wrong; it stays until it is closed. */
export function complain(error) {
  if (error && error.name === "AbortError") return;
  post(error instanceof Error ? error.message : String(error), "bad");
  if (error instanceof Error && !error.code) console.error(error);
}

function post(sentence, kind) {
  const message = make("div", { class: `message ${kind}` }, make("p", {}, sentence));
  const close = make("button", { type: "button", "aria-label": "Close this message", on: { click: () => message.remove() } }, "×");
  message.append(close);
  byId(kind === "bad" ? "alerts" : "notes").append(message);
  if (kind !== "bad") setTimeout(() => message.remove(), GOOD_MS);
}

/**
 * Ask in a dialog; resolves to the form's values by name, or null when it was dismissed.
 * `typed` is a word that must be typed before the button works; `fields` are elements placed in the form; `only` leaves
 * out the way to dismiss it: there is nothing to decide.
 */
export function ask({ title, text, action, danger = false, typed = null, fields = [], only = false }) {
  const go = make("button", { type: "submit", class: `button main${danger ? " danger" : ""}`, disabled: typed !== null }, action);
  const word = typed === null ? null : make("input", { class: "input", id: "typed", autocomplete: "off", spellcheck: "false" });
  if (word) word.addEventListener("input", () => { go.disabled = word.value.trim() !== typed; });
  const form = make("form", { method: "dialog" },
    fields,
    word && make("div", { class: "field" }, make("label", { for: "typed" }, "To confirm, type ", make("span", { class: "code" }, typed)), word),
    make("div", { class: "row end" }, only ? null : make("button", { type: "button", class: "button", on: { click: () => dialog.close() } }, "Cancel"), go));
  const dialog = make("dialog", { "aria-labelledby": "asked" }, make("h2", { id: "asked" }, title), [].concat(text || []).map((one) => make("p", { class: "soft" }, one)), form);
  document.body.append(dialog);
  return new Promise((resolve) => {
    let given = null;
    form.addEventListener("submit", () => { given = Object.fromEntries(new FormData(form)); });
    dialog.addEventListener("close", () => { dialog.remove(); resolve(given); });
    dialog.showModal();
    const first = form.querySelector("input, select, textarea");
    if (first) first.focus();
  });
}

/** While a promise runs, the button is disabled; what fails is said. Resolves to the result, or undefined. */
export async function busy(button, work) {
  const focused = document.activeElement === button;
  button.disabled = true;
  button.setAttribute("aria-busy", "true");
  try {
    return await work();
  } catch (error) {
    complain(error);
    return undefined;
  } finally {
    button.removeAttribute("aria-busy");
    button.disabled = false;
    if (focused && document.activeElement === document.body) button.focus(); // a disabled button loses the focus
  }
}

/** Until a promise is settled, nothing in an element can be used; what fails is thrown. */
export async function loading(element, work) {
  element.inert = true;
  element.setAttribute("aria-busy", "true");
  try {
    return await work;
  } finally {
    element.removeAttribute("aria-busy");
    element.inert = false;
  }
}

/** Put a failure in the place where the data would have been. */
export function failed(element, error) {
  fill(element, make("div", { class: "notice bad", role: "alert" }, make("p", {}, error.message)));
  if (!error.code) console.error(error);
}
