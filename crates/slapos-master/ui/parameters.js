// Parameters as they travel: a flat table of texts, or one JSON document under the name `_`. Pure.

import { isObject } from './schema.js';

const NESTED = 'json-in-xml';

/** What parameters say, whichever way they travel. */
export function decode(parameters) {
  const given = parameters ?? {};
  if (Object.keys(given).length === 1 && typeof given._ === 'string') {
    try {
      const inner = JSON.parse(given._);
      if (isObject(inner)) return inner;
    } catch {
      // Then it is a text like others.
    }
  }
  return given;
}

/** Whether parameters travel as one JSON document. */
export function isNested(parameters) {
  return Object.keys(parameters ?? {}).length === 1 && typeof parameters._ === 'string';
}

/** Parameters as the software reads them. */
export function encode(value, serialisation) {
  if (serialisation === NESTED) return { _: JSON.stringify(value) };
  const text = (one) => (typeof one === 'string' ? one : typeof one === 'boolean' ? String(one) : JSON.stringify(one));
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, text(one)]));
}

/** Reads `<instance><parameter id="a">b</parameter></instance>`; throws what is wrong, in words. */
export function readXml(text) {
  const parsed = new DOMParser().parseFromString(text, 'text/xml');
  if (parsed.querySelector('parsererror')) throw new Error('This is no XML: a tag is not closed, or a sign such as & is not written as &amp;.');
  if (parsed.documentElement.localName !== 'instance') throw new Error('The outermost element has to be <instance>.');
  const entries = [...parsed.documentElement.children].map((element) => {
    const name = element.getAttribute('id');
    if (element.localName !== 'parameter' || name === null) throw new Error('Inside <instance> there are only <parameter id="name">value</parameter>.');
    return [name, element.textContent];
  });
  return Object.fromEntries(entries);
}

/** Writes the same. */
export function writeXml(value) {
  const escaped = (text) => String(text).replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
  const lines = Object.entries(encode(value, 'xml')).map(([name, one]) => `  <parameter id="${escaped(name)}">${escaped(one)}</parameter>\n`);
  return `<instance>\n${lines.join('')}</instance>`;
}

/** Reads a JSON object; throws what is wrong, in words. */
export function readJson(text) {
  let value;
  try {
    value = text.trim() === '' ? {} : JSON.parse(text);
  } catch (error) {
    throw new Error(`This is no JSON: ${error.message}`);
  }
  if (!isObject(value)) throw new Error('Parameters are an object: {"name": "value"}.');
  return value;
}
