"""Runs the tests of the program that calls main(), a line per case, as tests/results.py reads them."""

import sys
import unittest


class Lines(unittest.TestResult):
    """PASS, FAIL or SKIP, and why."""

    def say(self, verdict, test, reason=""):
        print(verdict, test.id().removeprefix("__main__."), reason)

    def addSuccess(self, test):
        self.say("PASS", test)

    def addSkip(self, test, reason):
        self.say("SKIP", test, reason)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.say("FAIL", test, " ".join(str(err[1]).split()))

    def addError(self, test, err):
        super().addError(test, err)
        self.say("FAIL", test, repr(err[1]))


def main():
    outcome = Lines()
    unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"]).run(outcome)
    sys.exit(not outcome.wasSuccessful())
