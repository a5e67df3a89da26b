#!/usr/bin/env python3
"""What `report` takes for a large deprecation log, beside `jq` and DuckDB on the same files: time, CPU time, memory.

    cargo build --release --bin b24-migration-proxy --example deprecation_log
    benches/report.py [MIB]

The log is generated (1024 MiB, seed 1, nothing compressed). Each command runs three times with the files in the page cache,
and the quickest counts. DuckDB is that of tests/sdk/install.sh; who is missing is left out.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILT = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
RELEASE = BUILT / "release"
PYTHON = Path(os.environ.get("DUCKDB_PYTHON", BUILT / "tmp/sdk/duckdb/bin/python"))

JQ = """
reduce (inputs | fromjson? | select(.event == "deprecated_call" or .event == "deprecated_calls")) as $line
    ({}; .[$line.caller.name // $line.caller.key][$line.method] += ($line.count // 1))
"""

DUCKDB = """
import duckdb, sys
db = duckdb.connect()
db.execute("SET threads = 1")
print(len(db.execute('''
    SELECT coalesce(caller.name, caller.key), method, first, sum(coalesce(count, 1)), min(timestamp), max(timestamp)
    FROM (SELECT *, timestamp[1:10] AS first FROM read_json($files, format = 'newline_delimited', ignore_errors = true,
        columns = {'timestamp': 'VARCHAR', 'event': 'VARCHAR', 'method': 'VARCHAR', 'action': 'VARCHAR', 'error': 'VARCHAR',
            'count': 'BIGINT', 'errors': 'BIGINT', 'caller': 'STRUCT(key VARCHAR, name VARCHAR)'}))
    WHERE event IN ('deprecated_call', 'deprecated_calls') GROUP BY 1, 2, 3
''', {"files": sys.argv[1:]}).fetchall()))
"""


def run(command):
    """Seconds, CPU seconds and MiB of one run."""
    began = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    took = time.monotonic() - began
    if status != 0:
        sys.exit(f"{command[0]} failed: {said.decode()[-500:]}")
    return took, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main():
    mebibytes = sys.argv[1] if len(sys.argv) > 1 else "1024"
    with tempfile.TemporaryDirectory(dir=BUILT) as folder:
        listed = subprocess.check_output([RELEASE / "examples/deprecation_log", folder, mebibytes, "1", "0"], text=True)
        files = listed.split()
        size = sum(os.path.getsize(file) for file in files)
        lines = int(subprocess.check_output(["sh", "-c", 'cat "$@" | wc -l', "sh", *files]))
        print(f"{size / 2**20:.0f} MiB, {lines:,} lines, {len(files)} files; load {os.getloadavg()[0]:.1f}\n")
        report = [RELEASE / "b24-migration-proxy", "report", "--format", "json"]
        commands = {
            "report": [*report, *files],
            "report --callers": [*report, "--callers", f"{folder}/callers.toml", *files],
            "report --since the last day": [*report, "--since", "2026-11-30", *files],
            "report --since later than all": [*report, "--since", "2099-01-01", *files],
            "prove-zero": ["sh", "-c", '"$@"; [ $? = 1 ]', "sh", RELEASE / "b24-migration-proxy", "prove-zero", *files],
            "cat": ["cat", *files],
        }
        if PYTHON.exists():
            commands["DuckDB, one thread"] = [PYTHON, "-c", DUCKDB, *files]
        if shutil.which("jq"):
            commands["jq"] = ["jq", "-nR", JQ, *files]
        print("| | s | CPU s | MiB a CPU second | MiB of memory |\n|---|--:|--:|--:|--:|")
        for name, command in commands.items():
            took, cpu, memory = min(run(command) for _ in range(1 if name == "jq" else 3))
            print(f"| `{name}` | {took:.2f} | {cpu:.2f} | {size / 2**20 / cpu:.0f} | {memory:.0f} |", flush=True)


main()
