// A person, chosen by name.
import { get, post, query } from "./api.js";
import { make } from "./dom.js";

const MOST = 1000;

/** Return the people on record, up to a thousand; the service finds the others by name. */
export async function everybody() {
  const found = [];
  let after = null;
  do {
    const page = await get(query("/v1/people", { limit: 200, after }));
    found.push(...page.people);
    after = page.next;
  } while (after && found.length < MOST);
  return found;
}

/** Return the person of a name, in any upper or lower case; undefined when there is nobody. `known` are looked at first. */
export async function personOf(name, known = []) {
  const wanted = name.trim();
  return wanted ? known.find((one) => one.name.toLowerCase() === wanted.toLowerCase()) || (await post("/v1/people/search", { name: wanted })).people[0] : undefined;
}

/** Return the field `person` of a form, which offers these people. */
export function personField(label, people) {
  return make("div", { class: "field" }, make("label", { for: "person-name" }, label),
    make("input", { class: "input", id: "person-name", name: "person", list: "person-names", required: true, maxlength: 200, autocomplete: "off", spellcheck: "false" }),
    make("datalist", { id: "person-names" }, people.map((one) => make("option", { value: one.name }))));
}
