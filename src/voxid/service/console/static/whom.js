// A person, chosen by name.
import { listed, post } from "./api.js";
import { make } from "./dom.js";

const MOST = 1000, ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Return the people on record, up to a thousand; the service finds the others by name. None where they are not to be seen. */
export async function everybody() {
  try {
    return await listed("/v1/people", "people", MOST);
  } catch (error) {
    if (error.code === "scope_missing") return [];
    throw error;
  }
}

/**
 * Return the person of a name, in any upper or lower case, or of an id, which needs no right to see people; undefined
 * when there is nobody. `known` are looked at first.
 */
export async function personOf(name, known = []) {
  const wanted = name.trim();
  if (ID.test(wanted)) return known.find((one) => one.id === wanted) || { id: wanted, name: wanted };
  return wanted ? known.find((one) => one.name.toLowerCase() === wanted.toLowerCase()) || (await post("/v1/people/search", { name: wanted })).people[0] : undefined;
}

/** Return the field `person` of a form, which offers these people. */
export function personField(label, people) {
  return make("div", { class: "field" }, make("label", { for: "person-name" }, label),
    make("input", { class: "input", id: "person-name", name: "person", list: "person-names", required: true, maxlength: 200, autocomplete: "off", spellcheck: "false" }),
    make("datalist", { id: "person-names" }, people.map((one) => make("option", { value: one.name }))));
}
