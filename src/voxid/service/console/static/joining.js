// Two records of one person made one: looked at first, then done; it cannot be undone.
import { post } from "./api.js";
import { badge, facts, make } from "./dom.js";
import { ask, busy, complain, say } from "./talk.js";
import { everybody, personField, personOf } from "./whom.js";
import { consentOf } from "./health.js";
import { count, day, inOrder, purpose, seconds, signed } from "./words.js";

/** Ask which record goes into this person's, show what would be left, and do it when it is confirmed. Resolves to whether it was done. */
export async function join(person, button) {
  const people = await busy(button, everybody);
  if (!people) return false;
  const wanted = await ask({ title: `Which other record is ${person.name}?`, text: "You see what would be left before anything is changed.", action: "Look at it", fields: [personField("Name of the other record", people.filter((one) => one.id !== person.id))] });
  if (!wanted) return false;
  const seen = await busy(button, async () => {
    const other = await personOf(wanted.person, people);
    return other ? { other, preview: await post(`/v1/people/${person.id}/merge/preview`, { other_id: other.id }) } : {};
  });
  if (!seen) return false;
  if (!seen.other) { complain(`Nobody called ${wanted.person} is on record.`); return false; }
  return confirmed(person, seen.other, seen.preview, button);
}

async function confirmed(person, other, preview, button) {
  const given = await ask({
    title: `Make ${other.name} part of ${person.name}?`, text: [], action: "Join for good", danger: true, typed: other.name,
    fields: [
      make("div", { class: "notice bad" }, make("p", {}, make("b", {}, "This cannot be undone."), ` The record of ${other.name} is deleted; voiceprints, kept decisions and the name on timelines go to ${person.name}.`)),
      make("dl", { class: "facts", id: "left" }, facts([
        ["Would be left", `${preview.person.name}, ${count(preview.person.voiceprints.length, "reference")}, ${seconds(preview.person.net_speech_s)} of speech`],
        ["Voices", alike(preview)],
        ["Still allowed", inOrder(consentOf(preview.person)?.purposes || []).map(purpose).join(", ")],
        ["Would end", inOrder(preview.lost_purposes).map(purpose).join(", ")],
        ["Consent ends", day(consentOf(preview.person)?.expires_at)],
      ])),
      preview.alike === false && make("div", { class: "field checks" }, make("label", {}, make("input", { type: "checkbox", name: "allow", required: true }), make("span", {}, "I know that these are one person although the voices do not sound alike"))),
    ],
  });
  if (!given) return false;
  const joined = await busy(button, () => post(`/v1/people/${person.id}/merge`, { other_id: other.id, allow_inconsistent: preview.alike === false }));
  if (joined) say(`${other.name} is part of ${person.name} now.`);
  return Boolean(joined);
}

function alike({ alike: sound, llr }) {
  if (sound === null) return badge("Cannot be compared", "warn", "One of them has no voiceprint");
  return sound ? badge(`Sound alike, LLR ${signed(llr)}`, "good") : badge(`Do not sound alike, LLR ${signed(llr)}`, "bad");
}
