// An API key for a session cookie, which scripts cannot read.
import { byId } from "./dom.js";
import { call } from "./api.js";

const form = byId("sign-in"), key = byId("key"), refused = byId("refused"), go = byId("go");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  go.disabled = true;
  refused.hidden = true;
  key.removeAttribute("aria-invalid");
  try {
    await call("POST", "/v1/session", { headers: { Authorization: `Bearer ${key.value.trim()}` }, stay: true });
    key.value = "";
    location.assign(form.dataset.next);
  } catch (problem) {
    refused.hidden = false;
    refused.firstElementChild.textContent = problem.message;
    key.setAttribute("aria-invalid", "true");
    key.focus();
    key.select();
    go.disabled = false;
  }
});
