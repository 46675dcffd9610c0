// Which model the service hears with, and its threshold profiles.
import { get } from "./api.js";

/** Return the model in use; null where this key may not see models. */
export async function modelInUse() {
  try {
    return (await get("/v1/models")).models[0];
  } catch (error) {
    if (error.status === 403) return null;
    throw error;
  }
}

/** Return its id; null as above. */
export const bundleInUse = async () => (await modelInUse())?.id ?? null;
