// What changes, as it changes: the Master's stream of events, read by `fetch` because an EventSource
// cannot say who asks. It comes again after a break, ever more slowly, and goes on where it was.

import { ask } from './api.js';

const SLOWEST = 30_000;
// The Master gives a sign of life every twenty seconds.
const SILENCE = 65_000;

/** Splits a stream of text into events; pure. Give it what arrived, it gives back what is complete. */
export class Parser {
  #rest = '';

  feed(text) {
    this.#rest += text.replaceAll('\r\n', '\n');
    const blocks = this.#rest.split('\n\n');
    this.#rest = blocks.pop();
    return blocks.map(Parser.#read).filter((event) => event !== null);
  }

  static #read(block) {
    const event = { name: 'message', id: null, data: '' };
    let told = false;
    for (const line of block.split('\n')) {
      const [, field, value] = /^([^:]*):? ?(.*)$/.exec(line) ?? [];
      if (!field) continue;
      told = true;
      if (field === 'event') event.name = value;
      else if (field === 'id') event.id = value;
      else if (field === 'data') event.data += event.data ? `\n${value}` : value;
    }
    return told ? event : null;
  }
}

/**
 * Listens while the page can be seen. Dispatches `change` (detail: the change), `resync` (look at
 * everything) and `state` (detail: `connecting`, `live`, `waiting`, `off`).
 */
export class Events extends EventTarget {
  #abort = null;
  #position = null;
  #failures = 0;
  #timer = null;
  #silence = null;
  state = 'off';

  start() {
    // A browser has few connections to a server: a page that nobody sees holds none.
    document.addEventListener('visibilitychange', this.#seen);
    if (!this.#abort) this.#connect();
  }

  stop() {
    document.removeEventListener('visibilitychange', this.#seen);
    this.#position = null;
    this.#leave();
  }

  /** Comes again at once. */
  retry() {
    this.#leave();
    this.#failures = 0;
    this.#connect();
  }

  #seen = () => {
    if (document.hidden) this.#leave();
    else if (!this.#abort) this.#connect();
  };

  #leave() {
    clearTimeout(this.#timer);
    clearTimeout(this.#silence);
    this.#abort?.abort();
    this.#abort = null;
    this.#become('off');
  }

  #become(state) {
    if (this.state === state) return;
    this.state = state;
    this.dispatchEvent(new CustomEvent('state', { detail: state }));
  }

  async #connect() {
    if (document.hidden) return;
    clearTimeout(this.#timer);
    const abort = new AbortController();
    this.#abort = abort;
    this.#become('connecting');
    try {
      await this.#listen(abort);
    } catch (error) {
      // Signed out: nothing to come again for.
      if (error.status === 401 || error.status === 403) return this.#leave();
    }
    clearTimeout(this.#silence);
    if (this.#abort !== abort) return;
    this.#become('waiting');
    const pause = Math.min(SLOWEST, 1000 * 2 ** this.#failures) * (0.5 + Math.random() / 2);
    this.#failures += 1;
    this.#timer = setTimeout(() => this.#connect(), pause);
  }

  async #listen(abort) {
    const headers = { Accept: 'text/event-stream' };
    if (this.#position) headers['Last-Event-ID'] = this.#position;
    this.#watch(abort);
    const response = await ask('GET', '/api/v1/events', { signal: abort.signal, headers });
    this.#become('live');
    this.#failures = 0;
    const parser = new Parser();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      this.#watch(abort);
      for (const event of parser.feed(value)) this.#hear(event);
    }
  }

  #watch(abort) {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => abort.abort(), SILENCE);
  }

  #hear(event) {
    if (event.id !== null) this.#position = event.id;
    if (event.name === 'resync') this.dispatchEvent(new CustomEvent('resync'));
    if (event.name !== 'change') return;
    try {
      this.dispatchEvent(new CustomEvent('change', { detail: JSON.parse(event.data) }));
    } catch {
      // What cannot be read is better looked at.
      this.dispatchEvent(new CustomEvent('resync'));
    }
  }
}
