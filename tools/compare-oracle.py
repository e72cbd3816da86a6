#!/usr/bin/env python3
"""Compare `slapos profile dump` with the dumps of a reference implementation.

    tools/compare-oracle.py --slapos target/debug/slapos --root CHECKOUT --oracle DIRECTORY [PROFILE...]

DIRECTORY holds PROFILE.json for each profile PROFILE below CHECKOUT, with `files`, `sections`
(merged), `expanded` and `source` (the file of each option); paths below CHECKOUT are written
@ROOT@. Compared are the sections and options of both stages, the order of the files and the file
that each option comes from. `executable` and `directory` of [buildout] depend on the machine and
are left out. Exit code: 0 all equal, 1 differences, 2 nothing to compare.
"""
import argparse
import concurrent.futures
import json
import os
import subprocess
import sys

MACHINE = ("executable", "directory")
STAGES = {"merged": "sections", "expanded": "expanded"}


def ours(binary, root, profile, stage):
    command = [binary, "profile", "dump", os.path.join(root, profile), "--stage", stage]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip() or "exit code %d" % done.returncode)
    return json.loads(done.stdout)


def without_machine(sections):
    buildout = sections.get("buildout", {})
    kept = {option: value for option, value in buildout.items() if option not in MACHINE}
    return {**sections, "buildout": kept}


def differences(title, mine, theirs):
    """Lines that say where two {section: {option: value}} differ."""
    for section in sorted(mine.keys() | theirs.keys()):
        if section not in mine:
            yield "%s: section [%s] is missing" % (title, section)
        elif section not in theirs:
            yield "%s: section [%s] is too many" % (title, section)
        else:
            a, b = mine[section], theirs[section]
            for option in sorted(a.keys() | b.keys()):
                if a.get(option) != b.get(option):
                    yield "%s: [%s] %s: %r, the oracle has %r" % (
                        title, section, option, a.get(option), b.get(option))


def origin(sections):
    """The file of each option, without its line; options of no file are left out."""
    return {section: {option: place.rpartition(":")[0] for option, place in options.items()
                      if not place.startswith("<")} for section, options in sections.items()}


def compare(job):
    binary, root, oracle, profile = job
    with open(os.path.join(oracle, profile + ".json")) as f:
        theirs = json.load(f)

    def fix(value):
        return value.replace(root, "@ROOT@")

    def fixed(sections):
        return {s: {o: fix(v) for o, v in options.items()} for s, options in sections.items()}

    found = {}
    for stage, key in STAGES.items():
        try:
            mine = ours(binary, root, profile, stage)
        except (RuntimeError, ValueError) as error:
            found[stage] = ["%s: %s" % (stage, error)]
            continue
        found[stage] = list(differences(
            stage, without_machine(fixed(mine["sections"])), without_machine(theirs[key])))
        if stage == "merged":
            files = [os.path.relpath(f, root) for f in mine["files"]]
            found["files"] = [] if files == theirs["files"] else ["files: in another order"]
            source = {s: {o: p for o, p in options.items() if p != "DEFAULT_VALUE"}
                      for s, options in theirs["source"].items()}
            found["source"] = list(differences("source", origin(fixed(mine["source"])), source))
    return profile, found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--slapos", default="target/debug/slapos", help="the program")
    parser.add_argument("--root", required=True, help="the checkout that was dumped")
    parser.add_argument("--oracle", required=True, help="the directory of its dumps")
    parser.add_argument("-j", type=int, default=os.cpu_count())
    parser.add_argument("--show", type=int, default=5, help="differences shown of each profile")
    parser.add_argument("profile", nargs="*", help="paths below the checkout [default: all]")
    args = parser.parse_args()
    root, oracle = os.path.abspath(args.root), os.path.abspath(args.oracle)
    profiles = args.profile or sorted(
        os.path.relpath(os.path.join(directory, name), oracle)[:-len(".json")]
        for directory, _, names in os.walk(oracle) for name in names if name.endswith(".json"))
    if not profiles:
        print("there is no dump in %s" % oracle, file=sys.stderr)
        return 2
    jobs = [(os.path.abspath(args.slapos), root, oracle, profile) for profile in profiles]
    with concurrent.futures.ThreadPoolExecutor(args.j) as pool:
        results = list(pool.map(compare, jobs))
    equal = {}
    for profile, found in results:
        for what, lines in found.items():
            equal[what] = equal.get(what, 0) + (not lines)
        lines = [line for lines in found.values() for line in lines]
        for line in lines[:args.show]:
            print("%s: %s" % (profile, line))
        if len(lines) > args.show:
            print("%s: and %d more" % (profile, len(lines) - args.show))
    for what in sorted(equal):
        print("%-8s %d of %d equal" % (what, equal[what], len(profiles)))
    return 0 if all(n == len(profiles) for n in equal.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
