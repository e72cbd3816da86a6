// A JSON schema made plain for a form: references followed, `allOf` merged, and which kind of field fits. Pure.

/** What a reference within `root` means. */
function follow(reference, root) {
  if (reference === '#') return root;
  if (!reference.startsWith('#/')) return {};
  let found = root;
  for (const part of reference.slice(2).split('/')) {
    const key = decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~');
    found = found?.[key];
  }
  return found ?? {};
}

/** Two schemas that both hold, as one; what says the same twice says it as the second. */
export function merge(one, other) {
  const both = { ...one, ...other };
  if (one.properties || other.properties) both.properties = { ...one.properties, ...other.properties };
  for (const name of Object.keys(one.properties ?? {})) {
    const [mine, theirs] = [one.properties[name], other.properties?.[name]];
    if (isObject(mine) && isObject(theirs)) both.properties[name] = { ...mine, ...theirs };
  }
  if (one.required || other.required) both.required = [...new Set([...(one.required ?? []), ...(other.required ?? [])])];
  return both;
}

export function isObject(value) {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

const MOST_REFERENCES = 32;

/** A schema without references and `allOf` at its top. */
export function plain(schema, root, left = MOST_REFERENCES) {
  if (schema === true || schema === undefined) return {};
  if (!isObject(schema)) return { not: {} };
  if (left === 0) return {};
  let result = schema;
  if (typeof schema.$ref === 'string') {
    const { $ref: reference, ...rest } = schema;
    result = merge(plain(follow(reference, root), root, left - 1), rest);
  }
  if (Array.isArray(result.allOf)) {
    const { allOf, ...rest } = result;
    result = allOf.reduce((all, part) => merge(all, plain(part, root, left - 1)), rest);
  }
  return result;
}

/** The type that a value is expected to have; `null` beside another is not offered. */
export function typeOf(schema) {
  const types = [schema.type].flat().filter((type) => type && type !== 'null');
  if (types.length > 0) return types.length === 1 ? types[0] : 'any';
  if (schema.properties || schema.additionalProperties || schema.patternProperties) return 'object';
  if (schema.items || schema.prefixItems) return 'array';
  if (schema.pattern || schema.format) return 'string';
  return 'any';
}

/** The alternatives of a schema, each with all else that holds; `null` when it has none. */
export function variants(schema, root) {
  const list = schema.oneOf ?? schema.anyOf;
  if (!Array.isArray(list) || list.length === 0) return null;
  const { oneOf: _one, anyOf: _any, ...base } = schema;
  const given = list.map((one) => plain(one, root)).filter((one) => one.type !== 'null');
  // Rules about which properties go together are no alternatives to choose between.
  if (given.every((one) => Object.keys(one).every((key) => key === 'required' || key === 'not'))) return null;
  const { title: _title, description: _description, default: _default, ...shared } = base;
  return given.map((one) => merge(shared, one));
}

/** The values to choose from, `[[value, words]]`, when only some are allowed. */
export function choices(schema, root) {
  if (Array.isArray(schema.enum)) return schema.enum.map((value) => [value, words(value)]);
  const list = schema.oneOf ?? schema.anyOf;
  if (!Array.isArray(list)) return null;
  const all = list.map((one) => plain(one, root));
  if (all.length === 0 || !all.every((one) => 'const' in one && !one.properties)) return null;
  return all.map((one) => [one.const, one.title ?? words(one.const)]);
}

/** Which field fits: `const`, `enum`, `choice`, `object`, `array`, `boolean`, `number`, `string`, `any`. */
export function kindOf(schema, root) {
  if ('const' in schema) return 'const';
  if (choices(schema, root)) return 'enum';
  const alternatives = variants(schema, root);
  if (alternatives?.length > 1) return 'choice';
  const type = typeOf(schema);
  return type === 'integer' ? 'number' : type;
}

/** A value as one reads it. */
export function words(value) {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** How a property is called where its schema does not say. */
export function label(schema, name) {
  return schema.title?.replace(/\.$/, '') || name;
}
