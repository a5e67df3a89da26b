"""Counts a deprecation log with DuckDB, apart from the program: who still calls what, as `report` says it.

Standard input: {"files": [...], "since": MOMENT, "until": MOMENT, "methods": [...], "actions": [...], "callers": [...],
"names": {FINGERPRINT: NAME}}; all but `files` may be missing. Without `names` the names are those of the log.
Standard output: {"rows": [...], "lines": {...}}.
"""

import json
import sys

import duckdb

asked = json.load(sys.stdin)
db = duckdb.connect()
db.execute("SET threads = 2")
db.execute("CREATE TABLE names (fingerprint VARCHAR, name VARCHAR)")
names = asked.get("names")
for pair in (names or {}).items():
    db.execute("INSERT INTO names VALUES (?, ?)", pair)

# Whole lines: what is no JSON is counted, too.
db.execute(
    """
    CREATE TABLE lines AS
    SELECT line, TRY_CAST(line AS JSON) AS json
    FROM read_csv($files, columns = {'line': 'VARCHAR'}, header = false, auto_detect = false, delim = '\x01', quote = '',
        escape = '', max_line_size = 2000000)
    WHERE trim(line) <> ''
    """,
    {"files": asked["files"]},
)
db.execute(
    """
    CREATE TABLE events AS
    SELECT json ->> '$.timestamp' AS timestamp, json ->> '$.event' AS event, json ->> '$.method' AS method,
        json ->> '$.replacement' AS replacement, json ->> '$.action' AS action, json ->> '$.error' AS error,
        CAST(json ->> '$.count' AS BIGINT) AS count, CAST(json ->> '$.errors' AS BIGINT) AS errors,
        json ->> '$.first' AS first, json ->> '$.last' AS last, json ->> '$.caller.key' AS key,
        json ->> '$.caller.name' AS name, json ->> '$.caller.fingerprint' AS fingerprint
    FROM lines WHERE json ->> '$.timestamp' IS NOT NULL AND json ->> '$.event' IS NOT NULL
    """
)
db.execute(
    """
    CREATE VIEW uses AS
    SELECT events.* EXCLUDE (name, first, last), coalesce(first, timestamp) AS first, coalesce(last, timestamp) AS last,
        CASE event WHEN 'deprecated_calls' THEN count ELSE 1 END AS uses,
        coalesce(errors, CASE WHEN error IS NULL THEN 0 WHEN event = 'deprecated_calls' THEN count ELSE 1 END) AS failed,
        CASE WHEN $named THEN names.name ELSE events.name END AS name
    FROM events LEFT JOIN names USING (fingerprint)
    WHERE event IN ('deprecated_call', 'deprecated_calls')
    """.replace("$named", "true" if names is not None else "false")
)
db.execute(
    """
    CREATE TABLE wanted AS SELECT * FROM uses
    WHERE ($since IS NULL OR first >= $since) AND ($until IS NULL OR first <= $until)
        AND (len($methods) = 0 OR list_contains($methods, method))
        AND (len($actions) = 0 OR list_contains($actions, action))
        AND (len($callers) = 0 OR list_contains($callers, key) OR list_contains($callers, coalesce(name, key)))
    """,
    {
        "since": asked.get("since"),
        "until": asked.get("until"),
        "methods": asked.get("methods", []),
        "actions": asked.get("actions", []),
        "callers": asked.get("callers", []),
    },
)
days = db.execute(
    "SELECT name, CASE WHEN name IS NULL THEN key END, method, first[1:10], sum(uses) FROM wanted GROUP BY ALL"
).fetchall()
by_row = {}
for name, key, method, day, calls in days:
    by_row.setdefault((name, key, method), {})[day] = int(calls)
rows = db.execute(
    """
    SELECT name, CASE WHEN name IS NULL THEN key END AS key, method, any_value(replacement), count(DISTINCT wanted.key), sum(uses),
        sum(CASE action WHEN 'rewritten' THEN uses ELSE 0 END), sum(CASE action WHEN 'observed' THEN uses ELSE 0 END),
        sum(CASE action WHEN 'refused' THEN uses ELSE 0 END), sum(failed), min(first), max(last)
    FROM wanted GROUP BY 1, 2, 3
    """
).fetchall()
read, valid = db.execute("SELECT count(*), (SELECT count(*) FROM events) FROM lines").fetchone()
columns = "replacement keys calls rewritten observed refused errors first last".split()


def row(values):
    name, key, method, *rest = values
    told = {column: value if isinstance(value, str | None) else int(value) for column, value in zip(columns, rest)}
    return {"name": name, "key": key, "method": method, **told, "days": by_row[name, key, method]}


print(
    json.dumps(
        {
            "rows": [row(values) for values in rows],
            "lines": {"read": read, "events": valid, "skipped": read - valid},
        }
    )
)
