#!/usr/bin/env python3
"""Says what became of each test case of one `meson test` run, a line per case.

    tests/results.py STAGE TESTLOG XML_DIR

TESTLOG is meson's testlog.json, XML_DIR is where GTEST_OUTPUT=xml:XML_DIR/ sent the results.
A line is `PASS name`, `FAIL name reason` or `SKIP name reason`; a program that is no gtest writes
such lines itself. A program that ends badly, or reports nothing, is one failure more.
"""

import json
import os
import re
import sys
import xml.etree.ElementTree as xml

SKIPPED_STATUS = 77
REASON_CHARS = 300
OWN_LINE = re.compile(r"(PASS|FAIL|SKIP) (\S+) ?(.*)")


def one_line(text):
    return " ".join(text.split())[:REASON_CHARS]


def last_words(output):
    """The line that says most about a bad end: a sanitizer's own, else the last."""
    lines = output.strip().splitlines() or ["no output"]
    telling = [line for line in lines if "SUMMARY: " in line or "runtime error: " in line]
    return (telling or lines)[-1]


def gtest_cases(path):
    for case in xml.parse(path).getroot().iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        failure, skipped = case.find("failure"), case.find("skipped")
        if failure is not None:
            yield "FAIL", name, failure.get("message", "")
        elif skipped is not None:
            # gtest writes the place on the first line of the message, the reason below.
            yield "SKIP", name, skipped.get("message", "").partition("\n")[2]
        elif case.get("status") != "run":
            yield "SKIP", name, "disabled"
        else:
            yield "PASS", name, ""


def own_cases(output):
    for line in output.splitlines():
        if match := OWN_LINE.fullmatch(line):
            yield match.groups()


def program_cases(test, xml_dir):
    """The cases of one program, and a failure for what they do not explain."""
    words = [os.path.basename(word) for word in test["command"]]
    reports = [os.path.join(xml_dir, word + ".xml") for word in words]
    report = next((path for path in reports if os.path.exists(path)), None)
    output = test.get("stdout", "") + test.get("stderr", "")
    name = test["name"].rpartition(" / ")[2]  # meson puts project and suites before it

    cases = list(gtest_cases(report) if report else own_cases(output))
    yield from cases
    if test["returncode"] == SKIPPED_STATUS and not cases:
        yield "SKIP", name, last_words(output)
    elif test["result"] not in ("OK", "SKIP"):
        if not any(verdict == "FAIL" for verdict, _, _ in cases):
            how = f"{test['result'].lower()}, exit status {test['returncode']}"
            yield "FAIL", name, f"{how}: {last_words(output)}"
    elif not cases:
        yield "FAIL", name, "reported no test case"


def main():
    stage, testlog, xml_dir = sys.argv[1:]
    tests = []
    if os.path.exists(testlog):
        with open(testlog, encoding="utf-8") as log:
            tests = [json.loads(line) for line in log]
    if not tests:
        print(f"FAIL {stage} ran no test")
    for test in tests:
        for verdict, name, reason in program_cases(test, xml_dir):
            print(f"{verdict} {stage}/{name.replace(' ', '_')} {one_line(reason)}".rstrip())


main()
