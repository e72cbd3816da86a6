// Which view an address means. Addresses are fragments (`#/computers/ID?search=x`), so that the Master has
// one page to serve and a token in a fragment reaches no log.

/** The parts and the query of a fragment; pure. */
export function parse(hash) {
  const text = hash.replace(/^#\/?/, '');
  const mark = text.indexOf('?');
  const path = mark < 0 ? text : text.slice(0, mark);
  const query = Object.fromEntries(new URLSearchParams(mark < 0 ? '' : text.slice(mark + 1)));
  return { parts: path.split('/').filter((part) => part !== '').map(decode), query };
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The route that fits, `{view, params}`, from `[pattern, view]` such as `['computers/:id', view]`; pure. */
export function match(routes, parts) {
  for (const [pattern, view] of routes) {
    const wanted = pattern === '' ? [] : pattern.split('/');
    if (wanted.length !== parts.length) continue;
    const params = {};
    const fits = wanted.every((word, index) => {
      if (!word.startsWith(':')) return word === parts[index];
      params[word.slice(1)] = parts[index];
      return true;
    });
    if (fits) return { view, params };
  }
  return null;
}

/** Goes to an address of this dashboard. */
export function go(hash) {
  location.hash = hash;
}

/** Changes the query of the present address without leaving the view. */
export function setQuery(query) {
  const { parts } = parse(location.hash);
  const given = Object.entries(query).filter(([, value]) => value);
  const text = new URLSearchParams(given).toString();
  history.replaceState(null, '', `#/${parts.map(encodeURIComponent).join('/')}${text ? `?${text}` : ''}`);
}
