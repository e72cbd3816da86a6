"""What recipes import from `zc.buildout.rmtree`."""
import os
import shutil
import stat


def rmtree(path):
    """Remove a directory and all in it, or a link; what is read-only as well."""
    if os.path.islink(path):
        os.remove(path)
        return

    def retry(function, name, _):
        for place in (os.path.dirname(name), name):
            if not os.path.islink(place):
                os.chmod(place, stat.S_IMODE(os.lstat(place).st_mode) | stat.S_IRWXU)
        if function in (os.open, os.scandir, os.listdir):
            rmtree(name)
        else:
            function(name)

    shutil.rmtree(path, onerror=retry)
