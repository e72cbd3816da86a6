"""What zc.buildout says of the profiles CASE/main.cfg below a directory: JSON by case."""
import json
import logging
import os
import sys

import zc.buildout.buildout as buildout

logging.disable(logging.CRITICAL)


def values(section):
    return {option: getattr(value, "value", value) for option, value in section.items()}


def merged(path):
    result = buildout._open(os.path.dirname(path), path, [], {}, {}, set(), {})
    data = result[0] if isinstance(result, tuple) else result
    return {name: values(section) for name, section in data.items()}


def resolved(path):
    # It changes what it reads from, and goes to the directory of the profile.
    whole = buildout.Buildout(path, [], False)
    names = [name for name in whole._raw if name not in ("buildout", "versions")]
    return {name: dict(whole[name].items()) for name in names}


def attempt(function, path):
    try:
        return function(path)
    except (Exception, SystemExit) as error:
        return {"failed": "%s: %s" % (type(error).__name__, error)}


root = os.path.abspath(sys.argv[1])
output, sys.stdout = sys.stdout, sys.stderr
found = {}
for case in sorted(os.listdir(root)):
    path = os.path.join(root, case, "main.cfg")
    found[case] = {"merged": attempt(merged, path), "resolved": attempt(resolved, path)}
json.dump(found, output)
