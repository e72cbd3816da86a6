// What the Master knows about the parameters of a Software Release, and which of its types is meant.

import { get } from '../api.js';
import { ALL_SECRET } from '../secrets.js';

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

/** How long one who only looks waits for a schema, in milliseconds. */
const PATIENCE = 3000;
/** What was read, by Software Release and project. */
const read = new Map();

/** The type of an instance, to know what of it is secret: as long as that cannot be known, all is. */
export async function knownType(instance, signal) {
  const { software_release: url, project, software_type: name, shared } = instance;
  const key = `${project} ${url}`;
  if (!read.has(key)) {
    const asked = softwareSchema(url, project, signal).then((software) => read.set(key, software)).catch((error) => {
      // Who may not ask has the names to go by.
      if (error.status === 403) read.set(key, null);
    });
    await Promise.race([asked, new Promise((done) => setTimeout(done, PATIENCE))]);
  }
  return read.has(key) ? typeOf(read.get(key), name, shared) : { request_schema: ALL_SECRET, response_schema: ALL_SECRET };
}
