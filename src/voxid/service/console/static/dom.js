// Elements. Text goes in as text, never as markup: names come from people.

/** Return the element with an id; a page without it is a mistake of ours. */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`no element #${id}`);
  return found;
}

/**
 * Return a new element. Properties: `class`, `data` (an object), `on` (listeners by event), any attribute; an attribute
 * that is false, null or undefined is left out. Children: nodes and texts, nested lists of them, nothing.
 */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === false || value === null || value === undefined) continue;
    if (name === "class") element.className = value;
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...flat(children));
  return element;
}

/** Return a new element of a drawing. */
export function draw(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...flat(children));
  return element;
}

/** Put these in place of what an element holds. */
export function fill(element, ...children) {
  element.replaceChildren(...flat(children));
  return element;
}

/** Return a badge: a word with its colour; `kind` is good, warn, bad or nothing. */
export function badge(text, kind = "", title = null) {
  return make("span", { class: `badge ${kind}`.trim(), title }, text);
}

/** Return a row of a table from [label, content, class] per cell; the label is what a narrow screen shows before it. */
export function row(...cells) {
  return make("tr", {}, cells.map(([label, content, kind]) => make("td", { "data-label": label || null, class: kind || null }, content)));
}

/** Return what a list shows when it is empty. */
export function empty(title, sentence, action = null) {
  return make("div", { class: "empty" }, make("strong", {}, title), sentence, action ? make("div", {}, action) : null);
}

/** Return term and description pairs for a `dl`; pairs without a description are left out. */
export function facts(pairs) {
  return pairs.filter(([, value]) => value !== null && value !== undefined && value !== "")
    .flatMap(([term, value]) => [make("dt", {}, term), make("dd", {}, value)]);
}

function flat(children) {
  return children.flat(Infinity).filter((one) => one !== null && one !== undefined && one !== false && one !== "");
}
