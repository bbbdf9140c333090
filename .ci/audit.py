"""Runs pip-audit on constraints.txt: fails on findings, but not where the advisory service cannot be reached."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
COMMAND = (
    "--requirement",
    "constraints.txt",
    "--no-deps",
    "--disable-pip",
    "--progress-spinner",
    "off",
    "--format=json",
)
UNREACHABLE = ("ConnectionError", "Could not connect", "Max retries", "timed out", "NameResolution", "ProxyError")


def main() -> int:
    """0: nothing found, or nothing could be asked; 1: findings, or pip-audit failed for another reason."""
    program = Path(sys.executable).with_name("pip-audit")
    done = subprocess.run([program, *COMMAND, "--timeout", "15"], cwd=ROOT, text=True, capture_output=True, check=False)
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except ValueError:
        print(done.stderr.strip()[-2000:])
        if any(word in done.stderr for word in UNREACHABLE):
            print("NOT AUDITED: the advisory service cannot be reached from here")
            return 0
        return 1
    return report(packages)


def report(packages: list[dict[str, object]]) -> int:
    """Prints what was found, and what could not be asked for."""
    skipped = [one for one in packages if "skip_reason" in one]
    found = [(one, flaw) for one in packages for flaw in one.get("vulns", [])]  # type: ignore[attr-defined]
    for one, flaw in found:
        print(
            f"{one['name']} {one['version']}: {flaw['id']}, fixed in {', '.join(flaw['fix_versions']) or 'no version'}"
        )
    print(f"{len(packages) - len(skipped)} of {len(packages)} pinned packages audited, {len(found)} findings")
    if skipped and len(skipped) == len(packages):
        print("NOT AUDITED: the advisory service cannot be reached from here, or knows none of the packages")
    elif skipped:
        print(f"NOT AUDITED: {', '.join(str(one['name']) for one in skipped)}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
