# Checks parameters as the original does; see schema.rs.
import json
import sys

from slapos.recipe import slapconfiguration
from zc.buildout import UserError


class Partition(object):
    def error(self, *arguments, **named):
        pass


class Recipe(slapconfiguration.JsonSchema):
    def __init__(self, options, parameters):
        self._computer_partition = Partition()
        self._expandParameterDict(options, parameters)


def result(case, directory):
    shared = [
        {'slave_reference': str(index), '_': json.dumps(parameters)}
        for index, parameters in enumerate(case.get('shared', ()))
    ]
    options = {
        'jsonschema': directory + '/software.cfg.json',
        'slap-software-type': 'default',
        'slave-instance-list': shared,
        'set-default': 'all',
        'unstringify': 'all',
    }
    try:
        Recipe(options, {'_': json.dumps(case['main'])})
    except UserError:
        return {'configuration': 'refused'}
    return {
        'configuration': options['configuration'],
        'valid': options['valid-shared-instance-list'],
        'invalid': [shared['reference'] for shared in options['invalid-shared-instance-list']],
    }


with open(sys.argv[1]) as file:
    cases = json.load(file)
json.dump([result(case, sys.argv[2] + '/%d' % n) for n, case in enumerate(cases)], sys.stdout)
