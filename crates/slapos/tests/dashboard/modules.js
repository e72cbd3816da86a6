// Evaluated in a page of the dashboard; comes to {checks, wrong: [what is not as expected]}.
(async () => {
  const load = (name) => import(`/ui/${name}`);
  const [{ validate }, schema, { Parser }, router, words, parameters, plot, { segments, schemaForm }, dom, actions, tokens, secrets, reach] = await Promise.all([
    load('validate.js'), load('schema.js'), load('events.js'), load('router.js'), load('words.js'),
    load('parameters.js'), load('plot.js'), load('form.js'), load('dom.js'), load('views/computer-actions.js'), load('views/tokens.js'),
    load('secrets.js'), load('reach.js'),
  ]);
  const wrong = [];
  let checks = 0;
  const is = (what, found, expected) => {
    checks += 1;
    if (JSON.stringify(found) !== JSON.stringify(expected)) wrong.push({ what, found, expected });
  };

  // Schemas.
  const errors = (one, value) => validate(one, value).map(({ path, message }) => `${path} ${message}`);
  is('required', errors({ required: ['a'] }, {}), ['/a This is needed.']);
  is('type', errors({ properties: { a: { type: 'integer' } } }, { a: 'x' }), ['/a Has to be a whole number.']);
  is('types', errors({ type: ['string', 'null'] }, null), []);
  is('bounds', errors({ minimum: 2, maximum: 4 }, 5), [' At most 4.']);
  is('exclusive', errors({ exclusiveMinimum: 2 }, 2), [' More than 2.']);
  is('step', errors({ multipleOf: 0.1 }, 0.3), []);
  is('enum', errors({ enum: ['a', 1] }, 'b'), [' One of a, 1.']);
  is('const', errors({ const: 'a' }, 'b'), [' Has to be a.']);
  is('pattern', errors({ pattern: '^a+$' }, 'b'), [' Has to match ^a+$']);
  is('bad pattern', errors({ pattern: '(' }, 'b'), []);
  is('length', errors({ minLength: 2 }, 'é'), [' At least 2 characters.']);
  is('items', errors({ items: { type: 'string' } }, ['a', 1]), ['/1 Has to be a text.']);
  is('unique', errors({ uniqueItems: true }, [1, 1]), [' No entry twice.']);
  is('unknown', errors({ properties: { a: {} }, additionalProperties: false }, { b: 1 }), ['/b There is no such parameter.']);
  is('escaped', errors({ additionalProperties: false }, { 'a/b~': 1 }), ['/a~1b~0 There is no such parameter.']);
  is('patterns', errors({ patternProperties: { '^n': { type: 'number' } }, additionalProperties: false }, { n1: 'x' }), ['/n1 Has to be a number.']);
  is('reference', errors({ $defs: { n: { type: 'number' } }, properties: { a: { $ref: '#/$defs/n' } } }, { a: 'x' }), ['/a Has to be a number.']);
  const tree = { type: 'object', properties: { child: { $ref: '#' }, n: { type: 'number' } } };
  is('recursive', errors(tree, { child: { child: { n: 'x' } } }), ['/child/child/n Has to be a number.']);
  is('endless', errors({ $ref: '#' }, 1), []);
  is('all of', errors({ allOf: [{ required: ['a'] }, { required: ['b'] }] }, { a: 1 }), ['/b This is needed.']);
  is('nearest', errors({ oneOf: [{ type: 'object', required: ['a', 'b'] }, { type: 'object', required: ['c'] }] }, {}), ['/c This is needed.']);
  is('too many', errors({ oneOf: [{}, {}] }, 1), [' Fits several alternatives, of which only one may hold.']);
  is('kinds', [
    { const: 1 }, { enum: [1] }, { oneOf: [{ const: 1 }, { const: 2, title: 'two' }] }, { oneOf: [{ type: 'string' }, { type: 'number' }] },
    { properties: {} }, { items: {} }, { type: 'boolean' }, { type: 'integer' }, { type: ['null', 'string'] }, {},
  ].map((one) => schema.kindOf(schema.plain(one, one), one)), ['const', 'enum', 'enum', 'choice', 'object', 'array', 'boolean', 'number', 'string', 'any']);

  // Forms.
  is('as people write', segments({ path: '$.a.b[1]', message: '' }), ['a', 'b', '1']);
  is('missing', segments({ path: '/a', message: '"b" is a required property' }), ['a', 'b']);
  const one = {
    type: 'object', required: ['name'],
    properties: {
      name: { type: 'string' }, count: { type: 'integer', default: 3 }, on: { type: 'boolean' },
      list: { type: 'array', items: { type: 'number' } }, inner: { type: 'object', properties: { x: { type: 'string' } } },
      way: { oneOf: [{ title: 'A', type: 'object', properties: { kind: { const: 'a' }, a: { type: 'string' } } }, { title: 'B', type: 'object', properties: { kind: { const: 'b' }, b: { type: 'string' } }, required: ['b'] }] },
    },
  };
  is('nothing is given', schemaForm(one, undefined).read(), {});
  const given = { name: 'n', count: 4, on: false, list: [1, 2], inner: { x: 'y' }, way: { kind: 'b', b: 'z' }, other: 'kept' };
  is('what is needed has its usual value', schemaForm({ type: 'object', required: ['n'], properties: { n: { type: 'number', default: 4 }, m: { default: 5 } } }, undefined).read(), { n: 4 });
  is('what was given stays', schemaForm(one, given).read(), given);
  is('texts are read as the schema says', schemaForm(one, { name: 'n', count: '5', on: 'true' }).read(), { name: 'n', count: 5, on: true });
  const form = schemaForm(one, { name: 'n', inner: { x: 'y' } });
  document.getElementById('main').append(form.node);
  form.show([{ path: '/inner/x', message: 'wrong here' }]);
  is('at the field', document.activeElement.closest('.field').querySelector('.error').textContent, 'wrong here');
  is('is marked', document.activeElement.getAttribute('aria-invalid'), 'true');
  is('a check says what is missing', [schemaForm(one, {}).check(), form.check()], [false, true]);
  const lazy = schemaForm(one, { name: 'n' });
  lazy.show([{ path: '/inner/x', message: 'unfolded' }]);
  is('is unfolded', lazy.node.querySelector('details').open && lazy.node.querySelector('details .field .error').textContent, 'unfolded');
  form.node.remove();
  const kept = schemaForm({ properties: { key: { type: 'string', textarea: true }, pass: { type: 'string', format: 'password' } } }, { key: 'a\nb', pass: 'c' });
  is('several lines, and what is not shown', [kept.node.querySelector('textarea').value, kept.node.querySelector('input').type, kept.read()], ['a\nb', 'password', { key: 'a\nb', pass: 'c' }]);

  // Texts are texts.
  is('no HTML', dom.h('p', null, '<img src=x onerror=alert(1)>').children.length, 0);

  // Parameters.
  is('nested', parameters.decode({ _: '{"a": 1}' }), { a: 1 });
  is('no nesting', parameters.decode({ _: 'x' }), { _: 'x' });
  is('encoded', parameters.encode({ a: 1, b: true, c: 'x', d: { e: 1 } }, 'xml'), { a: '1', b: 'true', c: 'x', d: '{"e":1}' });
  is('as one', parameters.encode({ a: 1 }, 'json-in-xml'), { _: '{"a":1}' });
  const odd = { 'a"<&': 'x\n]]>&amp;<b>' };
  is('XML there and back', parameters.readXml(parameters.writeXml(odd)), odd);
  const fails = (run) => { try { run(); return false; } catch { return true; } };
  is('other XML', fails(() => parameters.readXml('<x/>')), true);
  is('no object', fails(() => parameters.readJson('[]')), true);

  // Who may what.
  is('who may change something', ['operator', 'user', 'computer', 'partition'].map((kind) => reach.mayChange({ kind })), [true, true, false, false]);

  // Secrets.
  const hidden = '••••••••';
  is('secret by name', secrets.cover({ db: { host: 'h', password: 'w', list: [{ api_key: 'k' }] }, keyboard: 'us', token: '' }),
    { db: { host: 'h', password: hidden, list: [{ api_key: hidden }] }, keyboard: 'us', token: '' });
  const secret = { $defs: { pw: { type: 'string', format: 'password' } }, properties: {
    db: { oneOf: [{ type: 'object', properties: { kind: { const: 'a' } } }, { type: 'object', properties: { pw: { $ref: '#/$defs/pw' } } }] },
    many: { type: 'array', items: { $ref: '#/$defs/pw' } }, by: { patternProperties: { '^x': { $ref: '#/$defs/pw' } } },
  } };
  is('secret by schema', secrets.cover({ db: { pw: 'w', kind: 'b' }, many: ['w'], by: { x1: 'w', y: 'n' } }, secret), { db: { pw: hidden, kind: 'b' }, many: [hidden], by: { x1: hidden, y: 'n' } });
  is('secret in a text', [secrets.cover({ a: '{"b": {"password": "w"}}' }), secrets.cover({ a: '{"b": 1}', c: '[' })], [{ a: `{"b":{"password":"${hidden}"}}` }, { a: '{"b": 1}', c: '[' }]);
  is('all is secret', secrets.cover({ a: { b: 1 } }, secrets.ALL_SECRET), { a: hidden });
  is('a field of that name', schemaForm({ properties: { 'db-password': { type: 'string' } } }, { 'db-password': 'c' }).node.querySelector('input').type, 'password');

  // Events, addresses, words, plots.
  const parser = new Parser();
  is('an event in pieces', [parser.feed('event: cha'), parser.feed('nge\nid: e-1\ndata: {}\n\n: \n\n'), parser.feed('data: a\ndata: b\r\n\r\n')],
    [[], [{ name: 'change', id: 'e-1', data: '{}' }], [{ name: 'message', id: null, data: 'a\nb' }]]);
  is('address', router.parse('#/software/http%3A%2F%2Fx%2Fy?q=a%20b'), { parts: ['software', 'http://x/y'], query: { q: 'a b' } });
  is('bad address', router.parse('#/%E0').parts, ['%E0']);
  is('route', router.match([['a/:b', 1], ['a/:b/c', 2]], ['a', 'x', 'c']), { view: 2, params: { b: 'x' } });
  is('no route', router.match([['a', 1]], ['b']), null);
  const now = Date.parse('2026-01-01T00:00:00Z');
  is('ago', [5, 50, 3700, 86_400 * 40].map((seconds) => words.ago(new Date(now - seconds * 1000).toISOString(), now)), ['just now', '50 seconds ago', '1 hour ago', '1 month ago']);
  is('software', ['https://x/raw/1.0.380/software/kvm/software.cfg', '/srv/software/hello/software.cfg', 'odd'].map(words.shortSoftware), ['kvm 1.0.380', 'hello', 'odd']);
  const apart = (...urls) => [...words.tellApart(urls).values()];
  is('told apart', [apart('/a/x/s.cfg', '/b/c/x/s.cfg', '/y/s.cfg'), apart('https://h/1/x/s.cfg', 'https://h/1/2/x/s.cfg'), apart('a', 'a')],
    [['/a/…', '/b/c/…'], ['…/1/…', '…/1/2/…'], []]);
  const heard = (minutes, state = 'ok') => words.presenceState({ state, last_contact_at: new Date(now - minutes * 60_000).toISOString() }, now);
  is('heard of', [heard(5), heard(11), heard(16), heard(1, 'silent'), words.presenceState({ state: 'never' }, now)], ['ok', 'late', 'silent', 'silent', 'never']);
  is('bytes', [0, 1023, 1536, 200 * 1024 ** 3].map(words.bytes), ['0 bytes', '1023 bytes', '1.5 KiB', '200 GiB']);
  is('instance', [{ state: 'started', reported: null }, { state: 'started', reported: { state: 'started' }, promises: { failed: 1 } }, { state: 'stopped', reported: { state: 'started' } }, { state: 'destroyed', reported: { state: 'started' } }].map(words.instanceState), ['waiting', 'error', 'waiting', 'leaving']);
  is('labels', actions.readLabels('a=b, c,, d = e=f'), { a: 'b', c: '', d: 'e=f' });
  is('change', [{ kind: 'report', partition: 'p0', tree: 'one', state: 'started' }, { kind: 'metrics' }, {}].map(words.changeWords),
    [{ kind: 'Reported', about: 'one', state: 'started' }, { kind: 'Metrics', about: '', state: '' }, { kind: 'Change', about: '', state: '' }]);
  is('tokens', [{}, { revoked_at: 'x' }, { expires_at: '2025-12-31T00:00:00Z' }, { expires_at: '2026-01-02T00:00:00Z' }].map((token) => tokens.isValid(token, now)), [true, false, false, true]);
  is('days', [tokens.seconds('1'), tokens.seconds(''), fails(() => tokens.seconds('0')), fails(() => tokens.seconds('soon'))], [86_400, undefined, true, true]);
  const at = (minute) => new Date(now + minute * 60_000).toISOString();
  const history = [{ at: at(0), failed: false }, { at: at(1), failed: false }, { at: at(2), failed: true }, { at: at(3), failed: false }];
  is('stretches', plot.stretches(history, { to: now + 240_000 }).map(({ from, to, failed }) => [(from - now) / 60_000, (to - now) / 60_000, failed]), [[0, 2, false], [2, 3, true], [3, 4, false]]);
  is('in words', plot.inWords(history, { to: now }), 'Broken 1 time in 4 checks; 1 of them failed.');
  return { checks, wrong };
})()
