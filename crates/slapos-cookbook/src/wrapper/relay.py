# Runs a program and puts what it prints into files, which are opened anew upon a signal.
import os
import select
import signal
import subprocess
import sys


def number(name):
    base, _, more = name.partition('+')
    return getattr(signal, 'SIG' + base) + int(more or 0)


class Log:
    def __init__(self, path):
        self.path = path
        self.read, self.write = os.pipe()
        self.file = self.opened()

    def opened(self):
        return os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)

    def reopen(self):
        new = self.opened()
        os.dup2(new, self.file, inheritable=False)
        os.close(new)

    def take(self):
        data = os.read(self.read, 65536)
        rest = data
        while rest:
            try:
                rest = rest[os.write(self.file, rest):]
            except OSError:
                # A full disk must not end the program.
                break
        return bool(data)


def main(reopen_upon, tell, out, err, *words):
    reopen_upon = number(reopen_upon)
    tell = number(tell) if tell else None
    logs = {path: Log(path) for path in (out, err) if path}

    def prepare():
        signal.signal(reopen_upon, signal.SIG_DFL)
        if tell:
            # Until the program listens, this must not end it.
            signal.signal(tell, signal.SIG_IGN)

    pipe = lambda path: logs[path].write if path else None
    try:
        program = subprocess.Popen(words, stdout=pipe(out), stderr=pipe(err), preexec_fn=prepare)
    except OSError as error:
        sys.exit('cannot start %s: %s' % (words[0], error))

    def rotate(*_):
        for log in logs.values():
            log.reopen()
        if tell:
            program.send_signal(tell)

    for ending in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        if ending != reopen_upon:
            signal.signal(ending, lambda number, _: program.send_signal(number))
    signal.signal(reopen_upon, rotate)
    open_logs = {log.read: log for log in logs.values()}
    for log in logs.values():
        os.close(log.write)
    while open_logs:
        for read in select.select(list(open_logs), (), ())[0]:
            if not open_logs[read].take():
                del open_logs[read]
    code = program.wait()
    sys.exit(code if code >= 0 else 128 - code)


main(*sys.argv[1:])
