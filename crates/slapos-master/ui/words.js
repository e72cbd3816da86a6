// How things are called and worded: times, numbers, names, and the states in which things are.

/** `3 computers`, `1 computer`. */
export function count(number, one, many = `${one}s`) {
  return `${Number(number).toLocaleString('en')} ${number === 1 ? one : many}`;
}

const UNITS = [['second', 60], ['minute', 60], ['hour', 24], ['day', 7], ['week', 5], ['month', 12], ['year', Infinity]];
const SECONDS = [1, 60, 3600, 86_400, 604_800, 2_629_800, 31_557_600];

/** `4 minutes ago`; pure. */
export function ago(time, now = Date.now()) {
  const seconds = Math.max(0, (now - Date.parse(time)) / 1000);
  if (!Number.isFinite(seconds)) return 'at an unknown time';
  if (seconds < 10) return 'just now';
  let unit = 0;
  while (unit < 6 && seconds / SECONDS[unit] >= UNITS[unit][1]) unit += 1;
  const number = Math.floor(seconds / SECONDS[unit]);
  return `${number} ${UNITS[unit][0]}${number === 1 ? '' : 's'} ago`;
}

/** A time as the reader's clock has it. */
export function exact(time) {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? String(time) : date.toLocaleString('sv');
}

/** A short name for a Software Release: `helloworld`, and its version if the URL has one. */
export function shortSoftware(url) {
  const clean = String(url).replace(/[?#].*$/, '').replace(/\/+$/, '');
  const parts = clean.split('/');
  const file = parts.pop() ?? clean;
  const directory = parts.pop();
  const name = directory && /\.(cfg|toml)$/.test(file) ? directory : file || clean;
  const version = /(?:\/raw\/|[-_@/])(v?\d+\.\d+[\w.]*)(?:\/|$)/.exec(clean)?.[1];
  return version ? `${name} ${version}` : name;
}

/** Where each URL lies, for those whose short names are the same: `Map(url → what differs)`; pure. */
export function tellApart(urls) {
  const groups = new Map();
  for (const url of new Set(urls)) groups.set(shortSoftware(url), [...(groups.get(shortSoftware(url)) ?? []), url]);
  return new Map([...groups.values()].filter((group) => group.length > 1).flatMap(differences));
}

/** `[[url, what differs]]`: all have some folders before and after it in common. */
function differences(urls) {
  const all = urls.map((url) => url.split('/'));
  const shortest = Math.min(...all.map(({ length }) => length));
  const common = (at) => {
    let count = 0;
    while (count < shortest && all.every((parts) => parts.at(at(count)) === all[0].at(at(count)))) count += 1;
    return count;
  };
  let before = common((count) => count);
  const after = Math.min(common((count) => -1 - count), shortest - before);
  // One may be another with a folder more: then the folder before that is said of both.
  if (before > 0 && all.some(({ length }) => length === before + after)) before -= 1;
  const begin = all[0].slice(0, before).join('') === '' ? '/' : '…/';
  return urls.map((url, index) => {
    const parts = all[index].slice(before, all[index].length - after).join('/');
    return [url, `${before > 0 ? begin : ''}${parts}${after > 0 ? '/…' : ''}`];
  });
}

/** How a wanted or reported state is shown: [class, shape, words]. */
const STATES = {
  ok: ['good', 'disc', 'connected'],
  late: ['warn', 'half', 'late'],
  silent: ['bad', 'alert', 'silent'],
  never: ['idle', 'ring', 'never seen'],
  started: ['good', 'disc', 'started'],
  available: ['good', 'disc', 'available'],
  stopped: ['idle', 'square', 'stopped'],
  destroyed: ['idle', 'cross', 'destroyed'],
  error: ['bad', 'alert', 'error'],
  building: ['busy', 'half', 'building'],
  waiting: ['busy', 'half', 'waiting'],
  leaving: ['busy', 'half', 'to be destroyed'],
  unknown: ['idle', 'ring', 'unknown'],
  free: ['idle', 'ring', 'free'],
  wanted: ['busy', 'half', 'wanted'],
  live: ['good', 'disc', 'live'],
  connecting: ['busy', 'half', 'connecting'],
  off: ['idle', 'ring', 'not live'],
};

export function stateLook(state) {
  return STATES[state] ?? ['idle', 'ring', String(state)];
}

/** Within which a node that is connected is heard of: the Master notes signs of life every five minutes. */
const LATELY = 7 * 60_000;
/** After which the Master calls a computer silent. */
const SILENT = 15 * 60_000;

/** Whether a computer is connected: `ok`, `late` (it was lately), `silent`, or `never` heard of; pure. */
export function presenceState({ state, last_contact_at: at }, now = Date.now()) {
  if (state !== 'ok' || !at) return state;
  const age = now - Date.parse(at);
  return age <= LATELY ? 'ok' : age <= SILENT ? 'late' : 'silent';
}

/** In which state an instance is, as one word: what is wrong wins over what is wanted. */
export function instanceState(instance) {
  const told = instance.reported?.state;
  if (told === 'error' || instance.promises?.failed > 0) return 'error';
  if (told === instance.state) return told;
  return instance.state === 'destroyed' ? 'leaving' : 'waiting';
}

/** In which state a Software Release is on a computer. */
export function softwareState(software) {
  const told = software.reported?.state;
  if (told === 'error') return 'error';
  if (software.requested_state === 'destroyed') return told === 'destroyed' ? 'destroyed' : 'waiting';
  if (told === 'building' || told === 'available') return told;
  return 'waiting';
}

const KINDS = {
  request: 'Instance wanted',
  supply: 'Software wanted',
  report: 'Reported',
  connection: 'Published',
  rename: 'Renamed',
  free: 'Partition freed',
  format: 'Formatted',
  bang: 'To be looked at again',
  progress: 'Build of',
  promise: 'Promises of',
  computer: 'Computer',
  user: 'User',
  project: 'Project',
};

/** Whether a change is only a sign of life, which no list shows. */
export function isPulse({ kind }) {
  return kind === 'contact' || kind === 'metrics';
}

/** One change, in words; pure. */
export function changeWords(change) {
  const kind = KINDS[change.kind] ?? String(change.kind ?? 'change').replaceAll(/[-_]/g, ' ');
  const about = change.software ? shortSoftware(change.software) : change.about ?? change.tree ?? change.partition;
  return { kind: kind[0].toUpperCase() + kind.slice(1), about: about ?? '', state: change.state ?? '' };
}

const BYTES = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** `3.2 GiB`; pure. */
export function bytes(number) {
  let unit = 0;
  let value = number;
  while (value >= 1024 && unit < BYTES.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${BYTES[unit]}`;
}
