# Does one thing with a source tree, as its job (a file of JSON) says, with exactly the
# distributions that the job names. Runs on any Python from 2.7 on, started with -S.
import importlib
import json
import os
import sys


def main():
    with open(sys.argv[1]) as f:
        job = json.load(f)
    # What scripts expect of an interactive Python, without the rest of it.
    builtins = __import__('builtins' if sys.version_info[0] > 2 else '__builtin__')
    builtins.exit = builtins.quit = sys.exit
    sys.path[:] = job.get('paths', []) + [p for p in sys.path if p != os.path.dirname(__file__)]
    sys.argv[:] = ['setup.py']
    result = globals()['do_' + job['action']](job)
    with open(job['result'], 'w') as f:
        json.dump(result, f)


def backend(job):
    sys.path[:0] = [os.path.abspath(p) for p in job.get('backend_path', [])]
    module, _, attributes = job['backend'].partition(':')
    found = importlib.import_module(module)
    for name in filter(None, attributes.split('.')):
        found = getattr(found, name)
    return found


def do_requires(job):
    write_build_ext(job)
    hook = getattr(backend(job), 'get_requires_for_build_wheel', None)
    return list(hook({})) if hook else []


def do_wheel(job):
    write_build_ext(job)
    return backend(job).build_wheel(job['out'], {})


def write_build_ext(job):
    options = job.get('build_ext')
    if not options:
        return
    try:
        from configparser import RawConfigParser
    except ImportError:
        from ConfigParser import RawConfigParser
    config = RawConfigParser()
    config.optionxform = str
    config.read('setup.cfg')
    if not config.has_section('build_ext'):
        config.add_section('build_ext')
    for name, value in sorted(options.items()):
        for spelling in (name, name.replace('_', '-')):
            config.remove_option('build_ext', spelling)
        config.set('build_ext', name, value)
    with open('setup.cfg', 'w') as f:
        config.write(f)


def do_develop(job):
    """Writes the metadata of a source tree into it and builds its extensions in place."""
    import setuptools
    import distutils.core
    script = 'setup.py'
    if not os.path.exists(script):
        script = os.path.join(job['out'], 'setup.py')
        with open(script, 'w') as f:
            f.write('import setuptools; setuptools.setup()')
    dist = distutils.core.run_setup(script, ['-q', 'egg_info'], 'commandline')
    options = dist.get_option_dict('build_ext')
    for name, value in job.get('build_ext', {}).items():
        options[name] = ('the profile', value)
    dist.get_option_dict('build_ext')['inplace'] = ('the profile', '1')
    dist.run_command('egg_info')
    info = dist.get_command_obj('egg_info')
    if dist.has_ext_modules():
        dist.run_command('build_ext')
    return {
        'name': info.egg_name,
        'location': os.path.abspath(info.egg_base or os.curdir),
        'info': os.path.abspath(info.egg_info),
        'scripts': [os.path.abspath(path) for path in (dist.scripts or [])],
    }


def do_compile(job):
    import compileall
    tree, final = job['tree'], job['final']
    try:
        compileall.compile_dir(tree, maxlevels=100, ddir=final, quiet=2, force=True)
    except TypeError:
        compileall.compile_dir(tree, 100, final, True, None, 1)


if __name__ == '__main__':
    main()
