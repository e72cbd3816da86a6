# The console of slapos: `request`, `supply`, `getInformation`, `product` and `slap` as in the
# original's, each by a command of the program that is named in the arguments.
import json
import subprocess
import sys

count = int(sys.argv[1])
program = sys.argv[2:2 + count]
script = sys.argv[2 + count:]


class NotFoundError(Exception):
  """The Master does not have it."""


class ResourceNotReady(Exception):
  """The Master has not made it yet."""


def run(*words, **kw):
  done = subprocess.run(program + ['--json'] + list(words), stdout=subprocess.PIPE,
                        stderr=subprocess.PIPE, universal_newlines=True, **kw)
  try:
    answer = json.loads(done.stdout or 'null')
  except ValueError:
    answer = None
  if done.returncode:
    error = (answer or {}).get('error') or {}
    message = error.get('message') or done.stderr.strip()
    kind = {2: ResourceNotReady}.get(done.returncode, Exception)
    raise (NotFoundError if 'answers 404' in message else kind)(message)
  return answer


class Partition:
  """What a request came to."""

  def __init__(self, answer):
    self.__dict__.update({'_' + key.replace('-', '_'): value for key, value in answer.items()})

  def getId(self):
    return self._partition

  def getState(self):
    return self._state

  def getType(self):
    return self._software_type

  def getConnectionParameterDict(self):
    return self._connection_parameters

  def getConnectionParameter(self, key):
    return self._connection_parameters[key]

  def getInstanceParameterDict(self):
    return self._parameters

  def getInstanceParameter(self, key):
    return self._parameters[key]

  def __repr__(self):
    return '<%s on %s: %s>' % (self._partition, self._computer, self._state)


def request(software_release, partition_reference, partition_parameter_kw=None, shared=False,
            software_type=None, filter_kw=None, state=None):
  words = ['request', partition_reference, software_release]
  words += ['--parameters-file', '/dev/stdin', '--force-serialisation', 'xml']
  words += ['--type', software_type or 'default']
  if shared:
    words.append('--slave')
  if state:
    words += ['--state', state]
  for key, value in (filter_kw or {}).items():
    words += ['--node', '%s=%s' % (key, value)]
  return Partition(run(*words, input=json.dumps(partition_parameter_kw or {})))


def supply(software_release, computer_guid=None, state='available'):
  word = {'available': 'supply', 'destroyed': 'remove'}[state]
  run(word, software_release, *([computer_guid] if computer_guid else []))


class Information:
  def __init__(self, info):
    self._title = info['name']
    self._software_release_url = info['software-url']
    self._source_reference = info['software-type']
    self._root_slave = info['shared']
    self._requested_state = info['requested-state']
    self._parameter_dict = info['instance-parameters']
    self._connection_dict = info['connection-parameters']


def getInformation(partition_reference):
  try:
    return Information(run('service', 'info', partition_reference))
  except ResourceNotReady as error:
    raise NotFoundError(str(error))


class Products:
  """`product.NAME` is what the Master knows by that name."""

  def __getattr__(self, name):
    return 'product.' + name


class Slap:
  """What of the original's `slap` is asked for most."""

  def registerOpenOrder(self):
    return self

  registerSupply = registerOpenOrder
  request = staticmethod(request)
  supply = staticmethod(supply)
  getInformation = staticmethod(getInformation)

  def getOpenOrderDict(self):
    return run('service', 'list')

  def getComputerDict(self):
    return {computer['title']: computer['reference'] for computer in run('computer', 'list')}


words = {
  'slap': Slap(), 'request': request, 'supply': supply, 'getInformation': getInformation,
  'product': Products(), 'NotFoundError': NotFoundError, 'ResourceNotReady': ResourceNotReady,
  '__name__': '__main__', '__builtins__': __builtins__,
}
if script:
  sys.argv = script
  words['__file__'] = script[0]
  with open(script[0]) as text:
    code = compile(text.read(), script[0], 'exec')
  exec(code, words)
else:
  import code
  try:
    import readline
    import rlcompleter
    readline.set_completer(rlcompleter.Completer(words).complete)
    readline.parse_and_bind('tab: complete')
  except ImportError:
    pass
  banner = ('slapos console: request(software, name, ...), supply(software, computer), '
            'getInformation(name), product.NAME, slap')
  sys.argv = ['']
  code.interact(banner=banner, local=words, exitmsg='')
