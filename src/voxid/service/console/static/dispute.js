// Somebody says that a result is wrong: it is under review until a person decides.
import { make } from "./dom.js";
import { post } from "./api.js";
import { ask, busy, say } from "./talk.js";

/** Return a button that raises a dispute about a result; `after` is called when it stands. */
export function disputeButton(subject, id, after = () => {}) {
  return make("button", { type: "button", class: "button small", on: { click: (event) => raise(subject, id, event.currentTarget, after) } }, "Dispute this result");
}

async function raise(subject, id, button, after) {
  const field = make("div", { class: "field" }, make("label", { for: "statement" }, "What is wrong, in the words of whom it concerns"), make("textarea", { class: "input", id: "statement", name: "statement", required: true, maxlength: 4000 }));
  const given = await ask({ title: "Dispute this result", text: "The result is under review until a person has decided, within a month.", action: "Raise the dispute", fields: [field] });
  if (!given) return;
  if (!await busy(button, () => post("/v1/disputes", { subject, subject_id: id, statement: given.statement.trim() }))) return;
  say("The result is under review now.");
  after();
}
