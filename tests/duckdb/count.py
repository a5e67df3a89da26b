"""Counts a deprecation log with DuckDB, apart from the program: who still calls what, as `report` says it.

Standard input: {"files": [...], "questions": [{"since": MOMENT, "until": MOMENT, "methods": [...], "actions": [...],
"callers": [...], "names": {FINGERPRINT: NAME}}, ...]}; of a question everything may be missing. Without `names` the names
are those of the log. Standard output: [{"rows": [...], "lines": {...}}, ...].
"""

import json
import sys

import duckdb

asked = json.load(sys.stdin)
db = duckdb.connect()
db.execute("SET threads = 2")

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
    CREATE TABLE uses AS
    SELECT *, coalesce(first_of, timestamp) AS first, coalesce(last_of, timestamp) AS last,
        CASE event WHEN 'deprecated_calls' THEN count ELSE 1 END AS uses,
        coalesce(errors, CASE WHEN error IS NULL THEN 0 WHEN event = 'deprecated_calls' THEN count ELSE 1 END) AS failed
    FROM (
        SELECT json ->> '$.timestamp' AS timestamp, json ->> '$.event' AS event, json ->> '$.method' AS method,
            json ->> '$.replacement' AS replacement, json ->> '$.action' AS action, json ->> '$.error' AS error,
            CAST(json ->> '$.count' AS BIGINT) AS count, CAST(json ->> '$.errors' AS BIGINT) AS errors,
            json ->> '$.first' AS first_of, json ->> '$.last' AS last_of, json ->> '$.caller.key' AS key,
            json ->> '$.caller.name' AS logged, json ->> '$.caller.fingerprint' AS fingerprint
        FROM lines
    )
    WHERE event IN ('deprecated_call', 'deprecated_calls')
    """
)
read, valid = db.execute(
    """
    SELECT count(*), count(*) FILTER (json ->> '$.timestamp' IS NOT NULL AND json ->> '$.event' IS NOT NULL) FROM lines
    """
).fetchone()

COLUMNS = "replacement keys calls rewritten observed refused errors first last".split()


def answer(question):
    names = question.get("names")
    db.execute("CREATE OR REPLACE TABLE names (fingerprint VARCHAR, name VARCHAR)")
    for pair in (names or {}).items():
        db.execute("INSERT INTO names VALUES (?, ?)", pair)
    db.execute(
        """
        CREATE OR REPLACE TABLE wanted AS
        SELECT *, CASE WHEN name IS NULL THEN key END AS who
        FROM (SELECT uses.*, """
        + ("names.name" if names is not None else "logged")
        + """ AS name FROM uses LEFT JOIN names USING (fingerprint))
        WHERE ($since IS NULL OR first >= $since) AND ($until IS NULL OR first <= $until)
            AND (len($methods) = 0 OR list_contains($methods, method))
            AND (len($actions) = 0 OR list_contains($actions, action))
            AND (len($callers) = 0 OR list_contains($callers, key) OR list_contains($callers, coalesce(name, key)))
        """,
        {
            "since": question.get("since"),
            "until": question.get("until"),
            "methods": question.get("methods", []),
            "actions": question.get("actions", []),
            "callers": question.get("callers", []),
        },
    )
    days = {}
    for name, who, method, day, calls in db.execute(
        "SELECT name, who, method, first[1:10], sum(uses) FROM wanted GROUP BY ALL"
    ).fetchall():
        days.setdefault((name, who, method), {})[day] = int(calls)
    rows = db.execute(
        """
        SELECT name, who, method, any_value(replacement), count(DISTINCT key), sum(uses),
            sum(CASE action WHEN 'rewritten' THEN uses ELSE 0 END),
            sum(CASE action WHEN 'observed' THEN uses ELSE 0 END),
            sum(CASE action WHEN 'refused' THEN uses ELSE 0 END), sum(failed), min(first), max(last)
        FROM wanted GROUP BY 1, 2, 3
        """
    ).fetchall()

    def row(name, who, method, *rest):
        told = {column: value if isinstance(value, str | None) else int(value) for column, value in zip(COLUMNS, rest)}
        return {"name": name, "key": who, "method": method, **told, "days": days[name, who, method]}

    lines = {"read": read, "events": valid, "skipped": read - valid}
    return {"rows": [row(*values) for values in rows], "lines": lines}


print(json.dumps([answer(question) for question in asked["questions"]]))
