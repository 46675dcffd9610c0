// Which model the service hears with.
import { get } from "./api.js";

/** Return the id of the bundle in use; null where this key may not see models. */
export async function bundleInUse() {
  try {
    return (await get("/v1/models")).in_use;
  } catch (error) {
    if (error.status === 403 || error.status === 404) return null;
    throw error;
  }
}
