#!/usr/bin/env python3
"""Compares instruction counts with those on record: instructions.py LOG [RECORD]. More than 10 % above is a failure.

RECORD holds lines of a name and millions of instructions; `--write` in place of it prints one.
"""
import re
import sys
from pathlib import Path

MARGIN = 1.10
measured = {m[1]: float(m[2]) for m in re.finditer(r"instructions (\w+) ([0-9.]+)", Path(sys.argv[1]).read_text(errors="replace"))}
record = Path(sys.argv[2] if len(sys.argv) > 2 else Path(__file__).with_name("instructions.txt"))
if len(sys.argv) > 2 and sys.argv[2] == "--write":
    print("\n".join(f"{name} {value:.1f}" for name, value in measured.items()))
    sys.exit()
failures = 0
for line in record.read_text().splitlines():
    if not line or line.startswith("#"):
        continue
    name, expected = line.split()
    got = measured.get(name)
    is_good = got is not None and got <= float(expected) * MARGIN
    failures += not is_good
    print(f"{'ok' if is_good else 'FAILED'} {name}: {got} M instructions, on record {expected}")
sys.exit(failures)
