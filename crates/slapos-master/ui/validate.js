// Whether a value fits a JSON schema: what can be said at the field before the Master is asked, whose word
// counts. Knows the usual words of the language, and lets pass what it does not know. Pure.

import { isObject, plain, words } from './schema.js';

function kind(value) {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  return typeof value;
}

function isType(value, type) {
  if (type === 'integer') return Number.isInteger(value);
  return kind(value) === type;
}

function same(one, other) {
  return JSON.stringify(one) === JSON.stringify(other);
}

const ARTICLE = { integer: 'a whole number', number: 'a number', string: 'a text', boolean: 'yes or no', object: 'an object', array: 'a list', null: 'nothing' };

function matches(pattern, text) {
  try {
    return new RegExp(pattern, 'u').test(text);
  } catch {
    return true;
  }
}

function ofNumber(schema, value, say) {
  const { minimum, maximum, exclusiveMinimum: above, exclusiveMaximum: below, multipleOf: step } = schema;
  if (value < minimum) say(`At least ${minimum}.`);
  if (value > maximum) say(`At most ${maximum}.`);
  if (typeof above === 'number' && value <= above) say(`More than ${above}.`);
  if (typeof below === 'number' && value >= below) say(`Less than ${below}.`);
  if (step > 0 && Math.abs(value / step - Math.round(value / step)) > 1e-9) say(`A multiple of ${step}.`);
}

function ofString(schema, value, say) {
  const length = [...value].length;
  if (length < schema.minLength) say(`At least ${schema.minLength} characters.`);
  if (length > schema.maxLength) say(`At most ${schema.maxLength} characters.`);
  if (schema.pattern && !matches(schema.pattern, value)) say(`Has to match ${schema.pattern}`);
}

function ofArray(schema, value, path, root, out, depth) {
  const say = (message) => out.push({ path, message });
  if (value.length < schema.minItems) say(`At least ${schema.minItems} entries.`);
  if (value.length > schema.maxItems) say(`At most ${schema.maxItems} entries.`);
  if (schema.uniqueItems && new Set(value.map((item) => JSON.stringify(item))).size < value.length) say('No entry twice.');
  value.forEach((item, index) => {
    const wanted = schema.prefixItems?.[index] ?? schema.items;
    if (wanted !== undefined && !Array.isArray(wanted)) check(wanted, item, `${path}/${index}`, root, out, depth);
  });
}

function escape(name) {
  return name.replaceAll('~', '~0').replaceAll('/', '~1');
}

function ofObject(schema, value, path, root, out, depth) {
  for (const name of schema.required ?? []) {
    if (!(name in value)) out.push({ path: `${path}/${escape(name)}`, message: 'This is needed.' });
  }
  for (const [name, item] of Object.entries(value)) {
    const here = `${path}/${escape(name)}`;
    const wanted = [schema.properties?.[name], ...Object.entries(schema.patternProperties ?? {}).filter(([pattern]) => matches(pattern, name)).map(([, one]) => one)]
      .filter((one) => one !== undefined);
    for (const one of wanted) check(one, item, here, root, out, depth);
    if (wanted.length > 0 || schema.additionalProperties === undefined) continue;
    if (schema.additionalProperties === false) out.push({ path: here, message: 'There is no such parameter.' });
    else check(schema.additionalProperties, item, here, root, out, depth);
  }
}

function ofAlternatives(schema, value, path, root, out, depth) {
  for (const name of ['oneOf', 'anyOf']) {
    const list = schema[name];
    if (!Array.isArray(list)) continue;
    const results = list.map((one) => errorsOf(one, value, path, root, depth));
    const fitting = results.filter((errors) => errors.length === 0).length;
    if (fitting === 0) {
      // What is nearest to fit says best what is wrong.
      const nearest = results.reduce((best, errors) => (errors.length < best.length ? errors : best));
      out.push(...nearest);
    } else if (name === 'oneOf' && fitting > 1) {
      out.push({ path, message: 'Fits several alternatives, of which only one may hold.' });
    }
  }
}

const DEEPEST = 40;

function check(given, value, path, root, out, depth) {
  if (given === false) {
    out.push({ path, message: 'Nothing is allowed here.' });
    return;
  }
  if (depth > DEEPEST) return;
  const schema = plain(given, root);
  const say = (message) => out.push({ path, message });
  const types = [schema.type].flat().filter(Boolean);
  if (types.length > 0 && !types.some((type) => isType(value, type))) {
    say(`Has to be ${types.map((type) => ARTICLE[type] ?? type).join(' or ')}.`);
    return;
  }
  if ('const' in schema && !same(schema.const, value)) say(`Has to be ${words(schema.const)}.`);
  if (Array.isArray(schema.enum) && !schema.enum.some((one) => same(one, value))) say(`One of ${schema.enum.map(words).join(', ')}.`);
  if (typeof value === 'number') ofNumber(schema, value, say);
  if (typeof value === 'string') ofString(schema, value, say);
  if (Array.isArray(value)) ofArray(schema, value, path, root, out, depth + 1);
  if (isObject(value)) ofObject(schema, value, path, root, out, depth + 1);
  ofAlternatives(schema, value, path, root, out, depth + 1);
}

function errorsOf(schema, value, path, root, depth) {
  const out = [];
  check(schema, value, path, root, out, depth);
  return out;
}

/** What is wrong with a value: `[{path, message}]`, paths being JSON pointers. */
export function validate(schema, value) {
  return errorsOf(schema, value, '', schema, 0);
}
