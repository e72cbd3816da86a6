"""The socket to the engine: one JSON object a line, questions within answers."""
import json
import os
import threading

from zc.buildout import UserError


class EngineError(UserError):
    """The engine's own error; when nobody catches it, the engine shows it whole."""

    def __init__(self, text, token=None):
        super().__init__(text)
        self.token = token


class Wire:
    def __init__(self, connection, stream, handle):
        self.connection = connection
        self.stream = stream
        self.handle = handle
        # Recipes may have threads; what is served within a question comes to the same one.
        self.lock = threading.RLock()

    def send(self, **message):
        # What is no text (a file name, say) is shown as well as it can be.
        text = json.dumps(message, ensure_ascii=False)
        self.connection.sendall(text.encode("utf-8", "replace") + b"\n")

    def receive(self):
        line = self.stream.readline()
        if not line:
            # The engine is gone, and whatever was begun with it.
            os._exit(0)
        return json.loads(line)

    def ask(self, what, **fields):
        """Ask the engine; serve what it wants done before it can answer."""
        with self.lock:
            self.send(ask=dict(fields, what=what))
            while True:
                message = self.receive()
                if "reply" in message:
                    return message["reply"]
                if "refused" in message:
                    raise refusal(message["refused"])
                self.handle(message["call"])


def refusal(refused):
    from zc.buildout import buildout

    if refused["kind"] == "section":
        return buildout.MissingSection(refused["text"])
    return EngineError(refused["text"], refused["token"])


wire = None


def start(connection, stream, handle):
    global wire
    # What recipes start must not hold the engine's socket open.
    connection.set_inheritable(False)
    wire = Wire(connection, stream, handle)
    return wire


def ask(what, **fields):
    return wire.ask(what, **fields)
