"""What recipes import as `zc.buildout`."""


class UserError(Exception):
    """An error that explains itself."""

    def __str__(self):
        return " ".join(map(str, self.args))
