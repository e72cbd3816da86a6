"""What promises are made of: GenericPromise, the results it gives, and its log.

For plugins whose Software Release does not bring slapos.core. What is imported here is paid for by
every partition, so `logging`, `re` and `datetime` wait until somebody needs them.
"""
import os
import sys
import time
from abc import ABCMeta, abstractmethod

PROMISE_STATE_FOLDER_NAME = ".slapgrid/promise"
PROMISE_RESULT_FOLDER_NAME = ".slapgrid/promise/result"
PROMISE_LOG_FOLDER_NAME = ".slapgrid/promise/log"
PROMISE_PARAMETER_NAME = "extra_config_dict"

ERROR_LEVEL = "CRITICAL", "ERROR"
LOG_DATE = "%Y-%m-%d %H:%M:%S"
RESULT_DATE = "%Y-%m-%dT%H:%M:%S+0000"
LONGEST_MESSAGE = 5000
BLOCK = 1 << 16


class BaseResult:
    """What a promise says of itself."""

    def __init__(self, problem=False, message=None, date=None):
        if message is not None and len(message) > LONGEST_MESSAGE:
            message = "..." + message[-LONGEST_MESSAGE:]
        self.__problem, self.__message, self.__date = problem, message, date
        self.__time = time.time()

    def hasFailed(self):
        return self.__problem

    @staticmethod
    def type():
        return "Base Result"

    @property
    def message(self):
        return self.__message

    @property
    def date(self):
        if self.__date is None:
            import datetime

            utc = datetime.timezone.utc
            self.__date = datetime.datetime.fromtimestamp(self.__time, utc).replace(tzinfo=None)
        return self.__date

    def stamp(self):
        """The date as result files have it."""
        if self.__date is not None:
            return self.__date.strftime(RESULT_DATE)
        return time.strftime(RESULT_DATE, time.gmtime(self.__time))


class TestResult(BaseResult):
    """Of a test: whether the instance is as it was asked for."""

    @staticmethod
    def type():
        return "Test Result"


class AnomalyResult(BaseResult):
    """Of a watch: whether a deployed instance went astray."""

    @staticmethod
    def type():
        return "Anomaly Result"


class EmptyResult(BaseResult):
    """Nothing was looked at."""

    def __init__(self):
        BaseResult.__init__(self)

    @staticmethod
    def type():
        return "Empty Result"


class PromiseQueueResult:
    """A result with the promise that it is of."""

    def __init__(self, path=None, name=None, title=None, item=None, execution_time=0):
        self.path, self.name, self.title = path, name, title
        self.item = EmptyResult() if item is None else item
        self.execution_time = execution_time


class Log:
    """Writes lines as `logging` would. For anything else that is wanted of it, it is one of
    `logging`'s own, from then on."""

    def __init__(self, name, stream, transaction, debug):
        self._name, self._stream, self._transaction = name, stream, transaction
        self._lowest = 10 if debug else 20
        self._logger = None

    def debug(self, message, *args, **options):
        self.log(10, message, *args, **options)

    def info(self, message, *args, **options):
        self.log(20, message, *args, **options)

    def warning(self, message, *args, **options):
        self.log(30, message, *args, **options)

    warn = warning

    def error(self, message, *args, **options):
        self.log(40, message, *args, **options)

    def exception(self, message, *args, **options):
        options.setdefault("exc_info", True)
        self.log(40, message, *args, **options)

    def critical(self, message, *args, **options):
        self.log(50, message, *args, **options)

    fatal = critical

    def log(self, level, message, *args, **options):
        names = {10: "DEBUG", 20: "INFO", 30: "WARNING", 40: "ERROR", 50: "CRITICAL"}
        if self._logger is not None or level not in names or options.get("stack_info"):
            self._real().log(level, message, *args, **options)
            return
        if level < self._lowest:
            return
        try:
            text = self._text(message, args, options.get("exc_info"))
        except Exception as error:
            sys.stderr.write("cannot word %r with %r: %s\n" % (message, args, error))
            return
        now = time.strftime(LOG_DATE)
        self._stream.write("%s - %s - %s - %s\n" % (now, names[level], self._transaction, text))
        self._stream.flush()

    @staticmethod
    def _text(message, args, error):
        text = str(message)
        if args:
            only = args[0] if len(args) == 1 and isinstance(args[0], dict) and args[0] else args
            text = text % only
        if error:
            import traceback

            if isinstance(error, BaseException):
                error = (type(error), error, error.__traceback__)
            elif not isinstance(error, tuple):
                error = sys.exc_info()
            text = text + "\n" + "".join(traceback.format_exception(*error)).rstrip("\n")
        return text

    def _real(self):
        if self._logger is None:
            import logging

            logger = logging.getLogger(self._name)
            handler = logging.StreamHandler(self._stream)
            form = "%(asctime)s - %(levelname)s - " + self._transaction + " - %(message)s"
            handler.setFormatter(logging.Formatter(form, datefmt=LOG_DATE))
            logger.addHandler(handler)
            logger.setLevel(self._lowest)
            self._logger = logger
        return self._logger

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._real(), name)


def entry(line):
    """Date, level, transaction and text of a line that starts an entry; else None."""
    fields = line.split(" - ", 3)
    if len(fields) != 4:
        return None
    date, level, transaction, text = fields
    number, _, end = transaction.partition("-")
    if len(date) != 19 or date[4] != "-" or not number.isdigit() or len(end) != 3:
        return None
    return date, level, transaction, text


def lines_from_the_end(path):
    with open(path, "rb") as log:
        log.seek(0, 2)
        left, rest = log.tell(), b""
        while left:
            size = min(BLOCK, left)
            left -= size
            log.seek(left)
            lines = (log.read(size) + rest).split(b"\n")
            rest = lines.pop(0) if left else b""
            for line in reversed(lines):
                if line:
                    yield line.decode("utf-8", "replace")
        if rest:
            yield rest.decode("utf-8", "replace")


def runs(lines, oldest, count):
    """The last `count` runs, newest first: lists of (date, level, text)."""
    found, current, last, more = [], [], None, ""
    for line in lines:
        fields = entry(line)
        if fields is None:
            more = "\n" + line + more
            continue
        date, level, transaction, text = fields
        if oldest and date <= oldest:
            break
        if transaction != last:
            if last is not None:
                found.append(current)
                current = []
                if len(found) == count:
                    return found
            last = transaction
        current.insert(0, (date, level, (text + more).strip()))
        more = ""
    if current:
        found.append(current)
    return found


class GenericPromise(metaclass=ABCMeta):
    """A promise; what is to be looked at is up to `sense`."""

    def __init__(self, config):
        self.__config = config
        take = config.pop
        self.__log_folder = take("log-folder", None)
        self.__partition_folder = take("partition-folder", None)
        self.__debug = take("debug", True)
        self.__name = take("name", None)
        self.__path = take("path", None)
        self.__queue = take("queue", None)
        self.__buffer = None
        self.setPeriodicity(take("periodicity", 2))
        bang = take("bang-on-failure", None)
        self.__allow_bang = truth(bang) if bang else True
        number = int.from_bytes(os.urandom(4), "big") % 900 + 100
        self.__transaction = "%d-%d" % (time.time(), number)
        self.__is_tested = self.__is_anomaly_detected = True
        self._validateConf()
        self._configureLogger()

    def _validateConf(self):
        wanted = {
            "queue": self.__queue,
            "name": self.__name,
            "path": self.__path,
            "partition-folder": self.__partition_folder,
        }
        for name, value in wanted.items():
            if value is None:
                raise ValueError("the configuration of the promise has no %s" % name)
        self.__title = os.path.splitext(self.__name)[0]

    def _configureLogger(self):
        if self.__log_folder is None:
            import io

            self.__log_file, self.__buffer = None, io.StringIO()
            stream = self.__buffer
        else:
            os.makedirs(self.__log_folder, exist_ok=True)
            self.__log_file = os.path.join(self.__log_folder, self.__title + ".log")
            stream = open(self.__log_file, "a", encoding="utf-8", errors="backslashreplace")
        self.logger = Log(self.__name, stream, self.__transaction, self.__debug)

    def getConfig(self, key, default=None):
        return self.__config.get(key, default)

    def setConfig(self, key, value):
        self.__config[key] = value

    def getTitle(self):
        return self.__title

    def getName(self):
        return self.__name

    def getLogFile(self):
        return self.__log_file

    def getLogFolder(self):
        return self.__log_folder

    def getPartitionFolder(self):
        return self.__partition_folder

    def getPromiseFile(self):
        return self.__path

    def setPeriodicity(self, minute):
        if minute <= 0:
            raise ValueError("the periodicity of a promise must be more than 0 minutes")
        self.__periodicity = minute

    def getPeriodicity(self):
        return self.__periodicity

    def setTestLess(self):
        self.__is_tested = False

    def isTested(self):
        return self.__is_tested

    def setAnomalyLess(self):
        self.__is_anomaly_detected = False

    def isAnomalyDetected(self):
        return self.__is_anomaly_detected

    def allowBang(self, allow=True):
        self.__allow_bang = allow

    def __runs(self, oldest, count):
        if self.__log_file is not None:
            if not os.path.exists(self.__log_file):
                return []
            return runs(lines_from_the_end(self.__log_file), oldest, count)
        lines = self.__buffer.getvalue().split("\n")
        return runs((line for line in reversed(lines) if line), oldest, count)

    @staticmethod
    def __oldest(minutes):
        return time.strftime(LOG_DATE, time.localtime(time.time() - minutes * 60)) if minutes else ""

    def getLastPromiseResultList(self, latest_minute=0, result_count=1, only_failure=False):
        """What was logged by the last runs, newest run first."""
        import datetime

        def shown(line):
            date, level, text = line
            date = datetime.datetime.strptime(date, LOG_DATE)
            return {"date": date, "status": level, "message": text}

        found = self.__runs(self.__oldest(latest_minute), result_count)
        if only_failure:
            found = [[line for line in run if line[1] in ERROR_LEVEL] for run in found]
        return [[shown(line) for line in run] for run in found]

    def __verdict(self, kind, result_count, failure_amount, latest_minute):
        found = self.__runs(self.__oldest(latest_minute), result_count)
        if not found:
            return kind(problem=False, message="No result found!")
        message = "\n".join(text for _, _, text in found[0]).strip()
        bad = [any(level in ERROR_LEVEL for _, level, _ in run) for run in found]
        if not bad[0]:
            return kind(problem=False, message=message)
        failures = 0
        for one in bad:
            failures += one
            if failures >= failure_amount:
                break
        return kind(problem=failures == failure_amount, message=message)

    def _test(self, result_count=1, failure_amount=1, latest_minute=0):
        return self.__verdict(TestResult, result_count, failure_amount, latest_minute)

    def _anomaly(self, result_count=1, failure_amount=1, latest_minute=0):
        return self.__verdict(AnomalyResult, result_count, failure_amount, latest_minute)

    @abstractmethod
    def sense(self):
        """Look, and log what was found."""

    def test(self):
        return self._test()

    def anomaly(self):
        return self._anomaly()

    def run(self, check_anomaly=False, can_bang=True):
        """Look and judge. Who is behind the queue bangs, if it comes to that."""
        kind = AnomalyResult if check_anomaly else TestResult
        enabled = self.__is_anomaly_detected if check_anomaly else self.__is_tested
        if not self.__is_tested and not self.__is_anomaly_detected:
            message = "a promise cannot be without test and without anomaly"
            return self.__give(kind(problem=True, message=message))
        if not enabled:
            self.__queue.put_nowait(PromiseQueueResult())
            return None
        try:
            self.sense()
        except Exception as error:
            self.logger.error(str(error))
        try:
            name = "anomaly" if check_anomaly else "test"
            result = getattr(self, name)()
            if result is None:
                raise ValueError("Promise %s method returned 'None'" % name)
        except Exception as error:
            result = kind(problem=True, message=str(error))
        return self.__give(result)

    def __give(self, result):
        given = PromiseQueueResult(
            path=self.__path, name=self.__name, title=self.__title, item=result
        )
        self.__queue.put_nowait(given)


def truth(text):
    if text.lower() not in ("true", "false"):
        raise ValueError("%r is neither true nor false" % text)
    return text.lower() == "true"
