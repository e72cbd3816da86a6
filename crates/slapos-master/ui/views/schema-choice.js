// What the Master knows about the parameters of a Software Release, and which of its types is meant.

import { get } from '../api.js';

/** The Software Release's own description, as an instance of the project may use it; `null` when none can be read. */
export async function softwareSchema(url, project, signal) {
  try {
    return (await get('/api/v1/schema', { software_release: url, project }, signal)).software;
  } catch (error) {
    if (error.status === 404 || error.status === 422) return null;
    throw error;
  }
}

/** The type of that name and kind; an empty one when it is not described. */
export function typeOf(software, name, shared) {
  const named = (software?.types ?? []).filter(({ id, software_type: type }) => (type ?? id) === name);
  return named.find((type) => Boolean(type.shared) === Boolean(shared)) ?? named[0] ?? {};
}
