// The bar at the top: ways to views, search, whether one is live, theme, who one is.

import { h } from './dom.js';
import { place } from './parts.js';
import { glyph, status } from './shapes.js';
import { mayChange } from './reach.js';
import { go } from './router.js';
import { themeButton } from './theme.js';

/** What everybody is shown, and with who may change something what he may. */
const WAYS = [
  ['', 'Overview'],
  ['computers', 'Computers'],
  ['software', 'Software'],
  ['instances', 'Instances'],
];
const CHANGE_WAYS = [['request', 'Request']];
const OPERATOR_WAYS = [['people', 'People'], ['audit', 'Audit']];

const LIVE = {
  live: ['live', 'live'],
  connecting: ['connecting', 'connecting'],
  waiting: ['error', 'interrupted'],
  off: ['off', 'not live'],
};

/** Makes the bar; `show(who, way)` fills it, for nobody when `who` is `null`. */
export function frame(top, events) {
  const live = liveMark(events);
  const find = findForm();
  const theme = themeButton();
  let open = null;
  addEventListener('hashchange', () => open?.(false));
  const show = (who, way) => {
    const brand = h('a', { class: 'brand', href: '#/', 'aria-label': 'SlapOS Master' }, h('img', { src: 'icon.svg', alt: '' }), h('span', null, 'SlapOS Master'));
    if (!who) {
      open = null;
      top.replaceChildren(h('div', { class: 'bar' }, brand, h('div', { class: 'tools' }, theme)));
      return;
    }
    const may = mayChange(who);
    const ways = [...WAYS, ...(may ? CHANGE_WAYS : []), ...(who.kind === 'operator' ? OPERATOR_WAYS : [])];
    const nav = h('nav', { id: 'ways', 'aria-label': 'Main' }, h('ul', null, ways.map(([name, words]) =>
      h('li', null, h('a', { href: name ? place(name) : '#/', 'aria-current': name === way ? 'page' : null }, words)))));
    const menu = h('button', { type: 'button', class: 'icon plain menu-button', 'aria-label': 'Menu', 'aria-controls': 'ways', 'aria-expanded': 'false' }, glyph('menu'));
    open = (wanted) => {
      nav.classList.toggle('open', wanted);
      menu.setAttribute('aria-expanded', String(wanted));
    };
    menu.addEventListener('click', () => open(menu.getAttribute('aria-expanded') !== 'true'));
    const name = h('a', { class: 'button plain', href: '#/me', id: 'who', title: 'Who you are, and signing out' }, who.name || who.kind);
    top.replaceChildren(h('div', { class: 'bar' }, brand, menu, nav, may && find, h('div', { class: 'tools' }, live, theme, name)));
  };
  return { show };
}

function liveMark(events) {
  const mark = h('button', { type: 'button', class: 'plain live', id: 'live' });
  const show = () => {
    const [state, words] = LIVE[events.state];
    mark.replaceChildren(status(state, words));
    mark.dataset.state = events.state;
    mark.setAttribute('aria-label', `Live updates: ${words}. Press to connect again.`);
    mark.title = mark.getAttribute('aria-label');
  };
  events.addEventListener('state', show);
  mark.addEventListener('click', () => events.retry());
  show();
  return mark;
}

function findForm() {
  const input = h('input', { type: 'search', id: 'find', placeholder: 'Search', 'aria-label': 'Search everything', 'aria-keyshortcuts': '/', autocomplete: 'off' });
  const form = h('form', { class: 'find', role: 'search' }, input, h('kbd', { 'aria-hidden': 'true' }, '/'));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (input.value.trim()) go(`#/search?${new URLSearchParams({ q: input.value.trim() })}`);
  });
  document.addEventListener('keydown', (event) => {
    const writing = /^(input|textarea|select)$/.test(event.target.localName) || event.target.isContentEditable;
    if (event.key !== '/' || writing || event.ctrlKey || event.metaKey || event.altKey || !input.isConnected) return;
    if (document.querySelector('dialog[open]')) return;
    event.preventDefault();
    input.focus();
    input.select();
  });
  return form;
}
