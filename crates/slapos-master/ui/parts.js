// What views are made of: cards, tables, facts, links, times, copy buttons, what is said when there is nothing.

import { h, say } from './dom.js';
import { mayFollow } from './reach.js';
import { glyph, status } from './shapes.js';
import { ago, exact, presenceState, shortSoftware, tellApart } from './words.js';

/** A place in this dashboard. */
export function place(...parts) {
  return `#/${parts.map(encodeURIComponent).join('/')}`;
}

export function card(title, { actions, note } = {}, ...body) {
  const heading = h('h2', null, title);
  return h('section', { class: 'card' },
    h('header', null, heading, note && h('span', { class: 'soft small' }, note), actions && h('div', { class: 'actions' }, actions)),
    body);
}

export function body(...children) {
  return h('div', { class: 'body' }, children);
}

/**
 * A table. Columns are `{name, cell(item, items), class?, bare?}`; the first is the row's heading. On a phone each
 * row becomes a block, in which a cell says its column's name unless it is `bare`.
 */
export function table(label, columns, items) {
  const head = columns.map(({ name, class: look }) => h('th', { scope: 'col', class: look }, name));
  const row = (item) => h('tr', null, columns.map(({ name, cell, class: look, bare }, index) => {
    const content = cell(item, items);
    const empty = content === null || content === undefined || content === '';
    if (index === 0) return h('th', { scope: 'row', class: look }, content);
    return h('td', { class: look, 'data-label': bare || empty ? null : name }, content);
  }));
  return h('div', { class: 'rows' }, h('table', { class: 'stack', 'aria-label': label },
    h('thead', null, h('tr', null, head)), h('tbody', null, items.map(row))));
}

/** A list with the button that shows more of it. */
export function paged(label, columns, page, more) {
  return [
    table(label, columns, page.items),
    page.next && h('footer', null,
      h('button', { type: 'button', id: 'more', on: { click: more } }, 'Show more'),
      h('span', { class: 'soft small' }, `The first ${page.items.length} are shown.`)),
  ];
}

/** `[name, value]` pairs; those without a value are left out. */
export function facts(...pairs) {
  const given = pairs.filter((pair) => pair && pair[1] !== null && pair[1] !== undefined && pair[1] !== false && pair[1] !== '');
  return h('dl', { class: 'facts' }, given.map(([name, value]) => [h('dt', null, name), h('dd', null, value)]));
}

/** A time, told from now. */
export function time(value) {
  return value ? h('time', { datetime: value, title: exact(value) }, ago(value)) : null;
}

/** Times grow older while one looks at them. */
export function keepTimes() {
  setInterval(() => {
    for (const element of document.querySelectorAll('main time[datetime]')) {
      const words = ago(element.dateTime);
      if (element.textContent !== words) element.textContent = words;
    }
    for (const element of document.querySelectorAll('main [data-heard]')) {
      const now = presence({ state: 'ok', last_contact_at: element.dataset.heard });
      if (now.textContent !== element.textContent) element.replaceWith(now);
    }
  }, 15_000);
}

/** How a computer is, and since when nothing was heard of one that is late. */
export function presence(computer) {
  const { last_contact_at: at } = computer;
  const state = presenceState(computer);
  const mark = status(state, state === 'late' ? `last heard of ${ago(at)}` : undefined);
  if (state === 'ok' || state === 'late') mark.dataset.heard = at;
  return mark;
}

/** A Software Release by its short name; `among` are the URLs beside it, from which it has to be told. */
export function software(url, among = []) {
  const apart = tellApart([url, ...among]).get(url);
  return [h('a', { href: place('software', url), title: url }, shortSoftware(url)), apart && [' ', h('span', { class: 'under soft small mono' }, apart)]];
}

/** A computer; no link where who is signed in may not look at it. */
export function computer(id) {
  return mayFollow(id) ? h('a', { href: place('computers', id) }, id) : h('span', { title: 'a computer of others' }, id);
}

export function instance(item) {
  return h('a', { href: place('instances', item.guid) }, item.title || item.guid);
}

/** A text that may be an address; only addresses of the web become links. */
export function linked(text) {
  if (!/^https?:\/\/\S+$/.test(text)) return text;
  return h('a', { href: text, target: '_blank', rel: 'noopener noreferrer' }, text);
}

export function copyButton(what, text) {
  const button = h('button', { type: 'button', class: 'tiny plain', 'aria-label': `Copy ${what}`, title: `Copy ${what}` }, glyph('copy'));
  button.addEventListener('click', async () => {
    const done = await copy(text);
    say(done ? `${what} is copied.` : 'The browser does not let this page copy.');
    button.replaceChildren(done ? 'copied' : 'not allowed');
    setTimeout(() => button.replaceChildren(glyph('copy')), 1500);
  });
  return button;
}

/** Saves a text as a file of that name. */
export function saveButton(what, text, file) {
  const save = () => {
    const url = URL.createObjectURL(new Blob([text], { type: 'application/octet-stream' }));
    h('a', { href: url, download: file }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  };
  return h('button', { type: 'button', class: 'tiny', title: `Save ${what} as ${file}`, on: { click: save } }, `Save ${file}`);
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Without https, only the older way is there.
    const area = h('textarea', { class: 'unseen', value: text });
    (document.querySelector('dialog[open]') ?? document.body).append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    return done;
  }
}

/** What stands where a list is empty: what it means, and what to do. */
export function empty(words, command, link) {
  return h('div', { class: 'empty' }, h('p', null, words), command && h('code', null, command), link);
}

export function notice(look, title, ...rest) {
  return h('div', { class: `notice ${look}`, role: look === 'bad' ? 'alert' : null }, h('strong', null, title), rest);
}

/** Words of the Master, in which `such` is what one types. */
function words(text) {
  return text.split('`').map((part, index) => (index % 2 === 1 ? h('code', null, part) : part));
}

/** What the Master refused. */
export function problem(error) {
  return notice('bad', words(error.message),
    error.detail && h('p', null, error.detail),
    error.hint && h('p', { class: 'soft' }, error.hint),
    error.errors?.length > 0 && h('ul', null, error.errors.map(({ path, message }) =>
      h('li', null, path && path !== '$' ? [h('code', null, path.replace(/^\$\.?/, '')), ' '] : null, message))));
}

export function head(title, { crumbs, actions, mark } = {}) {
  return h('div', { class: 'head' },
    crumbs && h('nav', { class: 'crumbs', 'aria-label': 'Where this is' }, crumbs),
    h('h1', { tabindex: '-1' }, title), mark, actions && h('div', { class: 'actions' }, actions));
}

export function view(...children) {
  return h('div', { class: 'view' }, children);
}
