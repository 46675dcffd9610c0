// How fit a person's voiceprint is for use: worst finding first. A guide for operators; decisions use the LLR alone.
import { fromNow, seconds } from "./words.js";

// Under 8 s of speech false rejects rise steeply; three recordings with 20 s are what the reports call well enrolled.
const THIN_S = 8, AMPLE_S = 20, AMPLE_REFERENCES = 2, SOON_DAYS = 30, OLD_YEARS = 3;

const consentOf = (person) => (person.consents.length ? person.consents[person.consents.length - 1].consent : null);

/** Return [word, kind, advice] findings; the first one is the state of the person. `bundleId` is the model in use, or null. */
export function healthOf(person, bundleId) {
  const found = [], consent = consentOf(person), now = Date.now();
  const usable = person.voiceprints.filter((one) => bundleId === null || one.bundle_id === bundleId);
  if (!consent) found.push(["No consent", "bad", "Consent was withdrawn or never given: nothing is decided on this person."]);
  else if (consent.expires_at && new Date(consent.expires_at) <= now) found.push(["Consent ended", "bad", "The consent has run out; a new one is needed before the voice is used again."]);
  if (!person.voiceprints.length) found.push(["No voiceprint", "warn", "No speech has been enrolled yet."]);
  else if (!usable.length) found.push(["Other model", "bad", "Every reference was made by another model and cannot be compared; enroll again."]);
  const speech = usable.reduce((sum, one) => sum + one.net_speech_s, 0);
  if (usable.length && speech < THIN_S) found.push(["Little speech", "warn", `${seconds(speech)} of speech; add recordings, ${AMPLE_S} s make a good voiceprint.`]);
  if (consent?.expires_at && new Date(consent.expires_at) > now && new Date(consent.expires_at) - now < SOON_DAYS * 864e5) {
    found.push(["Consent ends soon", "warn", `The consent ends ${fromNow(consent.expires_at)}.`]);
  }
  const newest = Math.max(...usable.map((one) => new Date(one.created_at)), 0);
  if (usable.length && now - newest > OLD_YEARS * 31557600e3) found.push(["Old", "warn", `The newest recording is from ${fromNow(new Date(newest).toISOString())}; voices change.`]);
  if (usable.length && speech >= THIN_S && (speech < AMPLE_S || usable.length < AMPLE_REFERENCES)) {
    found.push(["Usable", "good", usable.length < AMPLE_REFERENCES ? "One recording; a second one, made on another day, makes it firmer." : `${seconds(speech)} of speech; ${AMPLE_S} s make it firmer.`]);
  }
  if (!found.length) found.push(["Good", "good", "Enough speech from several recordings, made by the model in use."]);
  return found;
}

export { consentOf };
