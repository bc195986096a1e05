#!/usr/bin/env python3
"""Prints, case by case, what kernel selftests found on veth and on vethd.

    tests/selftests/compare.py VETH_LOGS VETHD_LOGS README

README has a table `| test | case | reason |`: such a case is explained, whatever it finds. Exit status
1 when another one differs, or none is the same.
"""

import fnmatch
import itertools
import pathlib
import re
import sys

# "title      ok", "title    fail - got 1 packets, expected 10 ".
RESULT = re.compile(r"(?P<title>.*?\S) +(?P<value>ok|failed|fail\b.*?) *$")
# "title    ./program: what it complains of", with the result on a line of its own.
COMPLAINT = re.compile(r"(?P<title> ?\S.*?) +\./\w+: (?P<value>.*)")
# "not ok 4 title # XFAIL why", "ok 4 PASS: title", "ok 20 # SKIP SKIP: title": the test anything protocol.
TAP = re.compile(r"(?P<value>(?:not )?ok) \d+ (?:# SKIP )?(?:(?:PASS|FAIL|SKIP): )?(?P<title>.*?)"
                 r"(?: # (?P<directive>XFAIL|SKIP).*)?")
PERFORMANCE = re.compile(r"(?P<title>\S.* perf) +udp [rt]x: ")  # figures are not compared
EXCHANGE = re.compile(r"Expected \{(?P<expected>[^}]*)\}.*\nReceived \{(?P<received>[^}\n]*)")
SENDER_DONE = re.compile(r"Gro::\w+ test passed\.\n")  # may come in the middle of the receiver's line
WRONG_MARK = re.compile(r"\[!=\d+\]")


def unique(cases):
    """The cases as a dict; a title that comes again gets a number."""
    values = {}
    for title, value in cases:
        if title in values:
            again = next(n for n in itertools.count(2) if f"{title} ({n})" not in values)
            title = f"{title} ({again})"
        values[title] = value
    return values


def script_cases(log):
    """(title, value) of a script that prints a line per case, or a title and then the result."""
    family, group, pending = "", "", ""
    for line in log.splitlines():
        if line.lower() in ("ipv4", "ipv6"):
            family = line.lower() + ": "
        elif match := re.fullmatch(r"run (.*) test", line):
            pending = match[1]
        elif pending and line in ("ok", "failed"):
            yield pending, line
            pending = ""
        elif match := PERFORMANCE.match(line):
            yield family + match["title"], "runs"
        elif match := RESULT.fullmatch(line):
            title = match["title"].strip()
            if title.startswith("- "):
                title = f"{group} {title}"
            else:
                group = title.split(" - ")[0]
            yield family + title, match["value"]
        elif match := COMPLAINT.fullmatch(line):
            yield family + match["title"].strip(), match["value"]


def tap_cases(log):
    """(title, value) of a test that speaks TAP: ok, not ok, or what it was excused for."""
    for line in log.splitlines():
        if match := TAP.fullmatch(line):
            skipped = "SKIP" if "# SKIP" in line else match["directive"]
            yield match["title"], skipped or match["value"]


def gro_cases(log, names):
    """(title, payload bytes received by each try) of a `gro.sh -t TEST -p FAMILY`.

    A try ends at its first bad case. The names are in another file; what has none belongs to the case
    before it.
    """
    titles, position = [], 0
    for name, _ in re.findall(r"([^:\n]+): |^(Test succeeded)$", names, re.M):
        position = 0 if titles and name == titles[0] else position
        if position == len(titles):
            titles.append(name or f"{titles[-1]}, then")
        position += 1

    tries, position = {}, 0
    for match in EXCHANGE.finditer(SENDER_DONE.sub("", log)):
        title = titles[position] if position < len(titles) else f"{titles[-1]}, then"
        received = WRONG_MARK.sub(" ", match["received"]).split()
        tries.setdefault(title, []).append(" ".join(received))
        position = position + 1 if received == match["expected"].split() else 0
    return tries


def cases_of(logs):
    """{(test, case): [value of each try]} of everything that play.sh left in a directory."""
    cases = {}
    for path in sorted(logs.glob("*.log")):
        log = path.read_text(errors="replace")
        if match := re.fullmatch(r"gro\.(ipv[46])\.(\w+)\.log", path.name):
            found = gro_cases(log, path.with_suffix(".names").read_text())
            cases |= {("gro.sh", f"{match[1]} {match[2]}: {title}"): tries for title, tries in found.items()}
        else:
            tap = path.name.endswith(".py.log") or path.name == "test_xsk.sh.log"
            found = unique(tap_cases(log) if tap else script_cases(log))
            cases |= {(path.name.removesuffix(".log"), title): [value] for title, value in found.items()}
    return cases


def known_differences(readme):
    """[(test, case pattern, reason)] from the table of three columns in README."""
    rows = re.findall(r"^\| `([^`]+)` \| `([^`]+)` \| (.+) \|$", readme.read_text(), re.M)
    if not rows:
        sys.exit(f"{readme} has no table of known differences")
    return rows


def gro_group(key):
    """What one run of gro.sh has the cases of: `ipv4 data`; None for other tests."""
    return key[1].split(":")[0] if key[0] == "gro.sh" else None


def verdict_of(key, veth, vethd, reason, started):
    if reason:
        return "explained"
    if veth == ["not ok"] and vethd == ["ok"]:
        return "better"
    # What meets in one poll is up to time, for which gro.sh tries thrice: one try like veth's will do.
    if set(veth) & set(vethd):
        return "same"
    # A gro case behind one that fails is seen only when a try gets by.
    return "not compared" if not (veth and vethd) and gro_group(key) in started else "different"


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    veth, vethd = (cases_of(pathlib.Path(argument)) for argument in sys.argv[1:3])
    known = known_differences(pathlib.Path(sys.argv[3]))

    started = {gro_group(key) for key in veth} & {gro_group(key) for key in vethd} - {None}
    count = dict.fromkeys(("same", "explained", "better", "not compared", "different"), 0)
    for key in sorted({**veth, **vethd}, key=lambda key: key[0]):
        test, title = key
        sides = [veth.get(key, []), vethd.get(key, [])]
        reason = next((why for name, pattern, why in known
                       if name == test and fnmatch.fnmatchcase(title, pattern)), None)
        verdict = verdict_of(key, *sides, reason, started)
        if verdict == "same":
            sides = [[value for value in sides[0] if value in sides[1]][:1]] * 2
        count[verdict] += 1
        shown = (" | ".join(dict.fromkeys(side)) or "not reached" for side in sides)
        print(f"{verdict:12}  {test}  {title}\n              veth: %s; vethd: %s" % tuple(shown))
        if reason:
            print(f"              {reason}")

    print("\nselftests: " + ", ".join(f"{number} {verdict}" for verdict, number in count.items()))
    sys.exit(1 if count["different"] or not count["same"] else 0)


if __name__ == "__main__":
    main()
