// Elements from plain values. Text is only ever inserted as text: nothing in this dashboard makes
// HTML out of a string.

const SVG = 'http://www.w3.org/2000/svg';
const PROPERTIES = new Set(['value', 'checked', 'disabled', 'open', 'hidden', 'indeterminate']);

function make(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === 'on') {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (PROPERTIES.has(name) && name in element) {
      element[name] = value;
    } else {
      element.setAttribute(name, value === true ? '' : String(value));
    }
  }
  append(element, children);
  // A selection can only be set once there is something to select.
  if (element.localName === 'select' && attributes?.value !== undefined) element.value = attributes.value;
  return element;
}

/** Appends elements, texts and lists of them; what is nothing is left out. */
export function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

/** An element of HTML: `h('p', {class: 'soft', on: {click}}, 'text', other)`. */
export function h(tag, attributes, ...children) {
  return make(document.createElement(tag), attributes, children);
}

/** An element of SVG. */
export function svg(tag, attributes, ...children) {
  return make(document.createElementNS(SVG, tag), attributes, children);
}

let ids = 0;

/** A name for an element that no other has. */
export function id(prefix = 'x') {
  ids += 1;
  return `${prefix}-${ids}`;
}

/** Says something to who listens to the page instead of looking at it. */
export function say(text) {
  document.getElementById('said').textContent = text;
}
