// What the Master knows about the parameters of a Software Release, and which of its types is meant.

import { get } from '../api.js';

/** The Software Release's own description; `null` when none can be read. */
export async function softwareSchema(url, signal) {
  try {
    return (await get('/api/v1/schema', { software_release: url }, signal)).software;
  } catch (error) {
    if (error.status === 404 || error.status === 422) return null;
    throw error;
  }
}

/** The type of that name, kind and serialisation; an empty one when it is not described. */
export function typeOf(software, id, shared = false) {
  const types = software?.types ?? [];
  const found = types.find((type) => type.id === id && Boolean(type.shared) === shared) ?? types.find((type) => type.id === id);
  return found ?? {};
}
