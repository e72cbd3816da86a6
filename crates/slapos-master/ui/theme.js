// Dark or light: as the system says, until one says otherwise.

import { h } from './dom.js';
import { glyph } from './shapes.js';

const KEY = 'slapos-theme';
const system = matchMedia('(prefers-color-scheme: dark)');

const isDark = () => (localStorage.getItem(KEY) ?? (system.matches ? 'dark' : 'light')) === 'dark';

/** Puts the chosen theme in force. */
export function applyTheme() {
  const chosen = localStorage.getItem(KEY);
  if (chosen === 'dark' || chosen === 'light') document.documentElement.dataset.theme = chosen;
  else delete document.documentElement.dataset.theme;
}

export function themeButton() {
  const button = h('button', { type: 'button', class: 'icon plain', id: 'theme' });
  const show = () => {
    const dark = isDark();
    const words = dark ? 'Use the light theme' : 'Use the dark theme';
    button.setAttribute('aria-label', words);
    button.title = words;
    button.replaceChildren(glyph(dark ? 'sun' : 'moon'));
  };
  button.addEventListener('click', () => {
    const wanted = isDark() ? 'light' : 'dark';
    // What the system says anyway need not be remembered.
    if ((wanted === 'dark') === system.matches) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, wanted);
    applyTheme();
    show();
  });
  system.addEventListener('change', show);
  show();
  return button;
}
