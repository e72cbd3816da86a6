# Drives StandaloneSlapOS through the life of an instance.
# Arguments: an empty directory, the program `slapos`, a profile, a port.
import contextlib
import os
import sys
import time
from importlib.metadata import version

import psutil
from slapos.slap.standalone import StandaloneSlapOS

directory, program, profile, port = sys.argv[1:]
supervisor_version = version('supervisor')

# Who talks to the Master shows its token: the file is where the Master looks for it.
token = 'a token of this test'
os.mkdir(os.path.join(directory, 'var'))
with open(os.path.join(directory, 'var', 'master.token'), 'w') as f:
  f.write(token)
with open(os.environ['NETRC'], 'w') as f:
  f.write('machine 127.0.0.1 login standalone password "%s"\n' % token)
os.chmod(os.environ['NETRC'], 0o600)


def show_logs():
  for folder in ('var/log', 'inst/var/log'):
    folder = os.path.join(directory, folder)
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
      with open(os.path.join(folder, name), errors='replace') as f:
        print('--- %s/%s\n%s' % (folder, name, f.read()[-4000:]))


def wait_for(what, ready):
  for _ in range(600):
    found = ready()
    if found:
      return found
    time.sleep(.05)
  raise AssertionError('waited in vain for ' + what)


def word():
  with open(os.path.join(standalone.instance_directory, 'slappart0/etc/word.txt')) as f:
    return f.read().strip()


def states():
  with standalone.instance_supervisor_rpc as supervisor:
    return {
      '%(group)s:%(name)s' % info: info['statename'] for info in supervisor.getAllProcessInfo()
      if info['group'].startswith('slappart')}


def request(**kw):
  return standalone.request(profile, 'the instance', **kw)


try:
  standalone = StandaloneSlapOS(directory, '127.0.0.1', int(port), slapos_bin=program)
  standalone.format(3, '127.0.0.1', '::1')
  assert len(standalone.computer.getComputerPartitionList()) == 3
  standalone.supply(profile)
  standalone.waitForSoftware()
  standalone.waitForSoftware(install_all=True)
  # Its supervisor of instances may just have been started; that is for the command to wait for.
  request(partition_parameter_kw={'word': 'one'})
  standalone.waitForInstance(max_retry=3)
  assert word() == 'one', word()
  assert request(partition_parameter_kw={'word': 'one'}).getConnectionParameter('word') == 'one'
  service = 'slappart0:sleeper-on-watch'
  wait_for('the service', lambda: states().get(service) == 'RUNNING')
  with standalone.instance_supervisor_rpc as supervisor:
    # It is Python's, which `standalone` started.
    assert supervisor.getSupervisorVersion() == supervisor_version, 'another supervisor answers'
  request(partition_parameter_kw={'word': 'two'})
  standalone.waitForInstance()
  assert word() == 'two', word()
  request(partition_parameter_kw={'word': 'two'}, state='stopped')
  standalone.waitForInstance()
  wait_for('the service to be stopped', lambda: not states())
  request(partition_parameter_kw={'word': 'three'}, state='started')
  standalone.waitForInstance()
  wait_for('the service', lambda: states().get(service) == 'RUNNING')
  request(state='destroyed')
  standalone.waitForInstance()
  standalone.waitForReport()
  assert not os.path.exists(os.path.join(standalone.instance_directory, 'slappart0/etc'))
  states_left = [p.getState() for p in standalone.computer.getComputerPartitionList()]
  assert states_left == ['destroyed'] * 3, states_left
  standalone.supply(profile, state='destroyed')
  standalone.waitForSoftware()
  assert not [n for n in os.listdir(standalone.software_directory) if len(n) == 32]
except BaseException:
  show_logs()
  raise
finally:
  pid_file = os.path.join(directory, 'var/run/supervisord.pid')
  with contextlib.suppress(OSError), open(pid_file) as f:
    supervisor = psutil.Process(int(f.read()))
    supervisor.terminate()
    supervisor.wait(60)
print('all is well')
