// Checks a proof of the audit log in this browser: hash, path to the root (RFC 6962, 2.1.1), signature (Ed25519).

const bytesOf = (hex) => Uint8Array.from(hex.match(/../g) || [], (pair) => parseInt(pair, 16));
const hexOf = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

async function sha256(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) { whole.set(part, at); at += part.length; }
  return new Uint8Array(await crypto.subtle.digest("SHA-256", whole));
}

/** Return whether an entry is in the log of the head its proof comes with. */
export async function isIn(proof) {
  const { head } = proof;
  let at = proof.sequence - 1, last = head.size - 1;
  if (at < 0 || at > last) return false;
  let found = await sha256(Uint8Array.of(0), new TextEncoder().encode(proof.entry));
  for (const hex of proof.path) {
    const sibling = bytesOf(hex), left = at % 2 === 1 || at === last;
    found = left ? await sha256(Uint8Array.of(1), sibling, found) : await sha256(Uint8Array.of(1), found, sibling);
    while (left && at && at % 2 === 0) { at = Math.floor(at / 2); last = Math.floor(last / 2); }
    at = Math.floor(at / 2);
    last = Math.floor(last / 2);
  }
  return last === 0 && hexOf(found) === head.root;
}

/** Return whether the head is signed by the key it names; null where this browser cannot check Ed25519. */
export async function isSigned(head) {
  const { signature, ...fields } = head, stated = { ...fields, statement: "voxid-audit-head" };
  const text = JSON.stringify(Object.fromEntries(Object.keys(stated).sort().map((name) => [name, stated[name]])));
  try {
    const key = await crypto.subtle.importKey("raw", bytesOf(head.public_key), "Ed25519", false, ["verify"]);
    return await crypto.subtle.verify("Ed25519", key, bytesOf(signature), new TextEncoder().encode(text));
  } catch (error) {
    if (error.name === "NotSupportedError") return null;
    throw error;
  }
}
