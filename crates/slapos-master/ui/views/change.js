// Changing an instance: its parameters, its Software Release, its type, its filters.

import { get, patch, path, put } from '../api.js';
import { toast } from '../dialog.js';
import { h } from '../dom.js';
import { body, card, head, place, view } from '../parts.js';
import { decode, isNested } from '../parameters.js';
import { parameterEditor, showRefusal } from '../parameter-editor.js';
import { go } from '../router.js';
import { slaEditor } from '../sla.js';
import { softwareSchema, typeOf } from './schema-choice.js';

/** The computer of an instance; `null` where who is signed in may not look at it. */
async function computerOf(instance, signal) {
  try {
    return await get(path`/api/v1/computers/${instance.computer}`, {}, signal);
  } catch (error) {
    if (error.status === 403 || error.status === 404) return null;
    throw error;
  }
}

/** What to do for another Software Release to be there; `wanted()` is the one that is to be supplied, if any. */
function supplying(instance, computer, url) {
  const known = new Map((computer?.software_list ?? []).map((one) => [one.url, one]));
  const box = h('input', { type: 'checkbox', id: 'supply', checked: true });
  const offer = h('label', null, box, ` Have ${instance.computer} build it`);
  const words = h('span', { class: 'help', 'aria-live': 'polite' });
  let absent = null;
  const show = () => {
    const given = url.value.trim();
    const other = given !== '' && given !== instance.software_release;
    const there = known.get(given)?.requested_state === 'available';
    absent = other && computer && !there ? given : null;
    offer.hidden = !absent;
    words.textContent = !other || absent ? '' : !computer ? `${instance.computer} belongs to others: whoever keeps it has to supply this one there.`
      : known.get(given).reported?.state === 'available' ? `${instance.computer} has it.` : `${instance.computer} was asked to build it.`;
  };
  url.addEventListener('input', show);
  show();
  return { node: [words, offer], wanted: () => (absent && box.checked ? absent : null) };
}

export default {
  title: ({ guid }) => `Change ${guid}`,
  async load({ params, signal }) {
    const instance = await get(path`/api/v1/instances/${params.guid}`, {}, signal);
    const [software, computer] = await Promise.all([
      softwareSchema(instance.software_release, instance.project, signal), computerOf(instance, signal),
    ]);
    return { instance, software, computer };
  },
  draw({ instance, software, computer }) {
    const described = typeOf(software, instance.software_type, instance.shared);
    const serialisation = described.serialisation ?? (isNested(instance.parameters) ? 'json-in-xml' : 'xml');
    const editor = parameterEditor({ schema: described.request_schema, serialisation, value: decode(instance.parameters) });
    const url = h('input', { type: 'text', id: 'software', value: instance.software_release, spellcheck: 'false', autocomplete: 'off' });
    // Another one of a shared instance is its host's.
    const supply = instance.shared ? null : supplying(instance, computer, url);
    const type = h('input', { type: 'text', id: 'type', value: instance.software_type, autocomplete: 'off' });
    const sla = slaEditor(instance.sla ?? {});
    const before = JSON.stringify(sla.read());
    const outcome = h('div', { 'aria-live': 'polite', id: 'outcome' });
    const save = async (event) => {
      event.preventDefault();
      outcome.replaceChildren();
      if (!editor.check()) return;
      const filters = sla.read();
      const changed = {
        parameters: editor.read(),
        ...(url.value.trim() !== instance.software_release ? { software_release: url.value.trim() } : {}),
        ...(type.value.trim() !== instance.software_type ? { software_type: type.value.trim() } : {}),
        ...(JSON.stringify(filters) !== before ? { sla: filters } : {}),
      };
      try {
        await patch(path`/api/v1/instances/${instance.guid}`, changed);
        const missing = supply?.wanted();
        if (missing) await put('/api/v1/software', { computer: instance.computer, url: missing, state: 'available' });
        toast(missing ? `${instance.title} is changed, and ${instance.computer} is to build its Software Release.` : `${instance.title} is changed.`);
        go(place('instances', instance.guid));
      } catch (error) {
        showRefusal(error, editor, outcome);
      }
    };
    return view(
      head(`Change ${instance.title}`, { crumbs: [h('a', { href: place('instances') }, 'Instances'), ' › ', h('a', { href: place('instances', instance.guid) }, instance.title)] }),
      h('form', { class: 'view', novalidate: true, on: { submit: save } },
        card('Parameters', { note: described.title }, body(editor.node)),
        card('Software and placement', {}, body(h('div', { class: 'fields' },
          h('div', { class: 'field' }, h('label', { for: 'software' }, 'Software Release'),
            supply && h('span', { class: 'help' }, 'Its computer has to have it: until another one is supplied and built there, the instance is not processed.'), url, supply?.node),
          h('div', { class: 'field' }, h('label', { for: 'type' }, 'Type'), type),
          h('div', { class: 'field' }, h('span', { class: 'label' }, 'Filters'), sla.node)))),
        outcome,
        h('div', { class: 'actions' }, h('button', { type: 'submit', class: 'main', id: 'save' }, 'Save'), h('a', { class: 'button', href: place('instances', instance.guid) }, 'Cancel'))),
    );
  },
};
