"""Has the original's launcher check the promises of a partition."""
import logging
import sys

from slapos.grid.promise import PromiseError, PromiseLauncher

partition, mode, timeout = sys.argv[1:]
logging.basicConfig(stream=sys.stderr, level=logging.CRITICAL)
launcher = PromiseLauncher(
    config={
        "promise-folder": partition + "/etc/plugin",
        "legacy-promise-folder": partition + "/etc/promise",
        "partition-folder": partition,
        "log-folder": partition + "/.slapgrid/promise/log",
        "promise-timeout": int(timeout),
        "check-anomaly": mode == "anomaly",
        "force": True,
    },
    logger=logging.getLogger("original"),
)
try:
    launcher.run()
except PromiseError as error:
    print(error)
