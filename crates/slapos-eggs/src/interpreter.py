# Tells what this Python is, as one line of JSON. Runs on any Python from 2.7 on.
import json
import os
import platform
import sys
import sysconfig


def variable(name):
    return sysconfig.get_config_var(name)


def version_text(info):
    text = '%d.%d.%d' % info[:3]
    kind = info[3]
    return text if kind == 'final' else '%s%s%d' % (text, kind[0], info[4])


def libc():
    try:
        words = os.confstr('CS_GNU_LIBC_VERSION').split()
        return [int(word) for word in words[1].split('.')[:2]] if words[0] == 'glibc' else None
    except (AttributeError, ValueError, IndexError, OSError):
        return None


major, minor = sys.version_info[:2]
name = platform.python_implementation()
soabi = variable('SOABI') or ''
if name == 'CPython':
    flags = 'd' if variable('Py_DEBUG') else ''
    if variable('Py_GIL_DISABLED'):
        flags = 't' + flags
    if (major, minor) < (3, 8) and variable('WITH_PYMALLOC') in (1, None):
        flags += 'm'
    if (major, minor) < (3, 3) and sys.maxunicode > 0xffff:
        flags += 'u'
    short, abi = 'cp', 'cp%d%d%s' % (major, minor, flags)
else:
    short = {'PyPy': 'pp'}.get(name, name.lower())
    abi = '_'.join(soabi.replace('.', '_').split('-')[:2])
own = getattr(sys, 'implementation', None)
print(json.dumps({
    'executable': sys.executable,
    'major': major,
    'minor': minor,
    'short': short,
    'abi': abi,
    'key': soabi or '%s-%s' % (abi, sysconfig.get_platform()),
    'platform': sysconfig.get_platform().replace('-', '_').replace('.', '_'),
    'libc': libc(),
    'build': [os.path.realpath(sys.executable)] + [
        str(variable(n) or '')
        for n in ('CC', 'CFLAGS', 'CPPFLAGS', 'LDSHARED', 'LDFLAGS', 'LIBDIR', 'INCLUDEPY')],
    'markers': {
        'os_name': os.name,
        'sys_platform': sys.platform,
        'platform_machine': platform.machine(),
        'platform_python_implementation': name,
        'platform_release': platform.release(),
        'platform_system': platform.system(),
        'platform_version': platform.version(),
        'python_version': '%d.%d' % (major, minor),
        'python_full_version': platform.python_version(),
        'implementation_name': own.name if own else '',
        'implementation_version': version_text(own.version) if own else '0',
    },
}))
