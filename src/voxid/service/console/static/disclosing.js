// The ledger of what was given to whom: an entry is written here, on the page of a person and on that of everybody.
import { post } from "./api.js";
import { make, row } from "./dom.js";
import { ask, busy, say } from "./talk.js";
import { when } from "./words.js";

const FIELDS = [["recipient", "To whom", "Police of Cork"], ["what", "What was given", "timeline of 3 May"], ["basis", "On which basis", "warrant 4711"]];

/** Ask what was given; `find` returns the person from the form's values, `first` are fields before. Resolves to whether it was written. */
export async function writeDown(button, find, first = []) {
  const fields = FIELDS.map(([name, label, placeholder]) => make("div", { class: "field" }, make("label", { for: name }, label), make("input", { class: "input", id: name, name, placeholder, required: true, maxlength: 400, autocomplete: "off" })));
  const given = await ask({ title: "Write down a disclosure", text: "An entry stays as long as the person is on record. When they are erased, the receipt says who must be told.", action: "Write down", fields: [...first, ...fields] });
  if (!given) return false;
  const written = await busy(button, async () => {
    const person = await find(given);
    return post(`/v1/people/${person.id}/disclosures`, { recipient: given.recipient, what: given.what, basis: given.basis });
  });
  if (written) say("Written down.");
  return Boolean(written);
}

/** Return a table of entries; `about` returns what stands for the person, where everybody's are shown. */
export function ledger(entries, about = null) {
  const heads = ["When", about && "Person", "To whom", "What", "Basis"].filter(Boolean);
  return make("table", { class: "grid folds" },
    make("thead", {}, make("tr", {}, heads.map((head) => make("th", { scope: "col" }, head)))),
    make("tbody", {}, entries.map((one) => row(...[
      ["When", make("span", { class: "number" }, when(one.at))], about && ["Person", about(one)],
      ["To whom", one.recipient], ["What", one.what], ["Basis", one.basis]].filter(Boolean)))));
}
