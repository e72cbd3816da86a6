// One view on the screen: what it needs is loaded and drawn, and again when the Master says that it changed.
//
// A view is `{title(params), load(context), draw(data, context), wants?(change, data, context), leave?(context), pause?}`. What it
// draws is replaced as a whole; the focus, the place on the page and what was unfolded are kept by id.

import { h, say } from './dom.js';
import { head, problem, view as page } from './parts.js';

/** Between two refreshes: many changes often come together. */
const PAUSE = 700;
/** Before a page is asked for again that the Master could not give. */
const AGAIN = 10_000;

/** Whether the Master, not what was asked, is the matter. */
function isAway({ status }) {
  return status === 0 || status >= 500;
}

export class Screen {
  #main;
  #view = null;
  #context = null;
  #data = null;
  #abort = null;
  #timer = null;
  #last = 0;
  /** Why the Master could not give the page that is shown; nothing once it did. */
  #away = null;

  constructor(main) {
    this.#main = main;
  }

  /** Shows a view. */
  async show(view, context) {
    this.clear();
    this.#view = view;
    this.#context = { ...context, state: {}, refresh: (now = true) => this.refresh(now) };
    document.title = `${view.title(context.params)} · SlapOS Master`;
    const waiting = setTimeout(() => this.#main.replaceChildren(h('p', { class: 'loading' }, 'Asking the Master…')), 250);
    const shown = await this.#draw();
    clearTimeout(waiting);
    if (!shown) return;
    scrollTo(0, 0);
    const wanted = this.#main.querySelector('[data-first]') ?? this.#main.querySelector('h1');
    wanted?.focus({ preventScroll: true });
    say(view.title(context.params));
  }

  clear() {
    this.#abort?.abort();
    clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#view?.leave) this.#view.leave(this.#context);
    this.#view = null;
    this.#away = null;
  }

  /** The Master is there: a page that it could not give is asked for again. */
  back() {
    if (this.#away !== null) this.refresh(true);
  }

  /** Something changed at the Master; `null`: anything may have. */
  heard(change) {
    const view = this.#view;
    if (!view?.wants || this.#data === null) return;
    if (change !== null && !view.wants(change, this.#data, this.#context)) return;
    this.refresh(false);
  }

  /** Loads and draws again, at once or soon. */
  refresh(now) {
    if (this.#timer && !now) return undefined;
    clearTimeout(this.#timer);
    this.#timer = null;
    if (now) return this.#draw();
    const wait = Math.max(120, this.#last + (this.#view?.pause ?? PAUSE) - performance.now());
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#draw();
    }, wait);
    return undefined;
  }

  async #draw() {
    this.#abort?.abort();
    const abort = new AbortController();
    this.#abort = abort;
    const [view, context] = [this.#view, this.#context];
    if (!view) return false;
    context.signal = abort.signal;
    let drawn;
    try {
      const data = view.load ? await view.load(context) : {};
      if (abort.signal.aborted) return false;
      drawn = view.draw(data, context);
      this.#data = data;
    } catch (error) {
      if (abort.signal.aborted || error.name === 'AbortError') return false;
      if (error.status === undefined) console.error(error);
      if (isAway(error)) this.#later();
      // What was said already is not said aloud again.
      if (isAway(error) && this.#away === error.message) return false;
      this.#away = isAway(error) ? error.message : null;
      drawn = page(head(view.title(context.params)), problem(error),
        h('div', { class: 'actions' }, h('button', { type: 'button', on: { click: () => this.refresh(true) } }, 'Try again')));
      this.#data ??= {};
      this.#put(drawn);
      return true;
    }
    this.#away = null;
    this.#put(drawn);
    return true;
  }

  #put(drawn) {
    this.#last = performance.now();
    replaceKeeping(this.#main, drawn);
  }

  #later() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = null;
      // A page that nobody sees is asked for when it is seen.
      if (!document.hidden) this.#draw();
    }, AGAIN);
  }
}

/** Puts `fresh` in place of what `main` shows, and keeps focus, position and unfolded parts that have an id. */
function replaceKeeping(main, fresh) {
  const focused = main.contains(document.activeElement) ? document.activeElement.id : '';
  const selection = focused && 'selectionStart' in document.activeElement
    ? [document.activeElement.value, document.activeElement.selectionStart, document.activeElement.selectionEnd] : null;
  const unfolded = [...main.querySelectorAll('details[id]')].map((part) => [part.id, part.open]);
  const scrolled = [...main.querySelectorAll('pre[id]')].map((part) => [part.id, part.scrollTop, part.scrollHeight - part.scrollTop - part.clientHeight < 8]);
  const top = scrollY;
  main.replaceChildren(fresh);
  for (const [id, open] of unfolded) {
    const part = document.getElementById(id);
    if (part) part.open = open;
  }
  // A log is read from its end, and followed while one is there.
  for (const part of main.querySelectorAll('pre[id]')) {
    const [, place, atEnd] = scrolled.find(([id]) => id === part.id) ?? [null, 0, true];
    part.scrollTop = atEnd ? part.scrollHeight : place;
  }
  if (top) scrollTo(0, top);
  const again = focused ? document.getElementById(focused) : null;
  if (!again) return;
  again.focus({ preventScroll: true });
  if (selection && 'selectionStart' in again && selection[1] !== null) {
    again.value = selection[0];
    again.setSelectionRange(selection[1], selection[2]);
  }
}
