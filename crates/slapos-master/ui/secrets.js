// Which values are secret, by their names and by what a schema says of them, and how they look covered. Pure.

import { isObject, plain, variants } from './schema.js';

const SECRET = /passw|secret|token|private|credential|(^|[-_])key$/i;
const COVER = '••••••••';
const DEEPEST = 3;
const MOST = 200;

/** A schema by which every value is one. */
export const ALL_SECRET = { additionalProperties: { format: 'password' } };

/** Whether what has that name, of that schema, is not for everybody who looks on. */
export function isSecret(name, schema = {}) {
  return SECRET.test(name) || schema.format === 'password';
}

/** Parameters with secrets covered, at any depth, also in texts that are JSON. */
export function cover(given, schema) {
  return covered(given, '', ways(schema ?? {}, schema ?? {}), schema ?? {});
}

function covered(given, name, schemas, root) {
  if (given === '' || given === null || given === undefined) return given;
  if (SECRET.test(name) || schemas.some((one) => isSecret('', one))) return COVER;
  if (Array.isArray(given)) return given.map((one, index) => covered(one, '', entry(schemas, index, root), root));
  if (isObject(given)) return Object.fromEntries(Object.entries(given).map(([key, one]) => [key, covered(one, key, property(schemas, key, root), root)]));
  return typeof given === 'string' ? coveredText(given, schemas, root) : given;
}

/** A text that is JSON may hold secrets, too. */
function coveredText(text, schemas, root) {
  if (!/^\s*[[{]/.test(text)) return text;
  try {
    const inner = JSON.parse(text);
    const shown = JSON.stringify(covered(inner, '', schemas, root));
    return shown === JSON.stringify(inner) ? text : shown;
  } catch {
    return text;
  }
}

/** A schema with all its alternatives: each may be the one that holds. */
function ways(schema, root, left = DEEPEST) {
  const one = plain(schema, root);
  if (left === 0) return [one];
  const others = [...(variants(one, root) ?? []), one.then, one.else].filter(isObject);
  return [one, ...others.flatMap((other) => ways(other, root, left - 1))];
}

/** What the schemas say of a property. */
function property(schemas, key, root) {
  return apart(schemas.flatMap(({ properties, patternProperties, additionalProperties }) => {
    if (properties && Object.hasOwn(properties, key)) return [properties[key]];
    const named = Object.entries(patternProperties ?? {}).filter(([pattern]) => matches(pattern, key)).map(([, one]) => one);
    return named.length > 0 ? named : [additionalProperties];
  }), root);
}

/** What the schemas say of an entry of a list. */
function entry(schemas, index, root) {
  return apart(schemas.map(({ prefixItems, items }) => prefixItems?.[index] ?? items), root);
}

/** Each once, with its alternatives: a schema may refer to itself. */
function apart(schemas, root) {
  return [...new Set(schemas.filter(isObject))].flatMap((one) => ways(one, root)).slice(0, MOST);
}

function matches(pattern, key) {
  try {
    return new RegExp(pattern, 'u').test(key);
  } catch {
    return false;
  }
}
