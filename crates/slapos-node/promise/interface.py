"""What a promise can be asked."""
from zope.interface import Interface


class IPromise(Interface):
    """A check that an instance carries with it."""

    def sense(self):
        """Look, and log what was found; an error that is logged or raised is a failure."""

    def test(self):
        """Say, as a TestResult, whether what was last logged is a problem."""

    def anomaly(self):
        """Say, as an AnomalyResult, whether what was logged lately calls for a bang."""
