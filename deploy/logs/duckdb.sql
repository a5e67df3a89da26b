-- The deprecation log in DuckDB. In the log's folder:  duckdb log.duckdb < duckdb.sql
-- Reads all files, rotated and gzipped ones too; lines that are torn or foreign are passed over.
-- Then:  SELECT * FROM report;  days;  unnamed;  last_use;  errors;

CREATE OR REPLACE TABLE events AS
SELECT * FROM read_json('deprecations*.jsonl*',
    format = 'newline_delimited', ignore_errors = true, maximum_object_size = 65536,
    columns = {
        timestamp: 'TIMESTAMP', event: 'VARCHAR', instance: 'VARCHAR', request_id: 'VARCHAR', method: 'VARCHAR',
        replacement: 'VARCHAR', action: 'VARCHAR', reason: 'VARCHAR', mode: 'VARCHAR', encoding: 'VARCHAR', status: 'USMALLINT',
        error: 'VARCHAR', errors: 'UBIGINT', count: 'UBIGINT', "first": 'TIMESTAMP', "last": 'TIMESTAMP', duration_ms: 'DOUBLE',
        caller: 'STRUCT("key" VARCHAR, name VARCHAR, auth VARCHAR, "user" VARCHAR, fingerprint VARCHAR, application VARCHAR,
                        address VARCHAR, user_agent VARCHAR, sdk VARCHAR)'
    });

-- One row for each line that tells of uses; `uses` says of how many.
CREATE OR REPLACE VIEW uses AS
SELECT coalesce(caller.name, caller.key) AS who, caller.name IS NULL AS unnamed, method, replacement, action,
    CASE event WHEN 'deprecated_calls' THEN coalesce(count, 1) ELSE 1 END AS uses,
    coalesce(errors, CASE WHEN error IS NULL THEN 0 WHEN event = 'deprecated_calls' THEN coalesce(count, 1) ELSE 1 END) AS failed,
    coalesce("first", timestamp) AS since, coalesce("last", timestamp) AS until, error, caller
FROM events WHERE event IN ('deprecated_call', 'deprecated_calls');

-- Who still calls what: as `report`.
CREATE OR REPLACE VIEW report AS
SELECT who, method, sum(uses) AS calls, coalesce(sum(uses) FILTER (action = 'rewritten'), 0) AS rewritten,
    coalesce(sum(uses) FILTER (action = 'observed'), 0) AS observed, coalesce(sum(uses) FILTER (action = 'refused'), 0) AS refused,
    sum(failed) AS errors, min(since) AS "first", max(until) AS "last", arg_max(replacement, until) AS call_instead
FROM uses GROUP BY who, unnamed, method ORDER BY unnamed DESC, calls DESC;

-- How much of it on each day, UTC.
CREATE OR REPLACE VIEW days AS
SELECT who, method, since::DATE AS day, sum(uses) AS calls FROM uses GROUP BY ALL ORDER BY day, calls DESC;

-- Whom nobody has given a name, and how they can be recognised.
CREATE OR REPLACE VIEW unnamed AS
SELECT who AS "key", sum(uses) AS calls, list(DISTINCT method ORDER BY method) AS methods, max(until) AS "last",
    arg_max(caller.address, until) AS address, arg_max(caller.sdk, until) AS sdk, arg_max(caller.user_agent, until) AS user_agent
FROM uses WHERE unnamed GROUP BY who ORDER BY calls DESC;

-- How long a method is out of use.
CREATE OR REPLACE VIEW last_use AS
SELECT method, max(until) AS "last", count(DISTINCT who) AS callers, sum(uses) AS calls FROM uses GROUP BY method ORDER BY "last" DESC;

-- What the portal or the proxy answered instead of a result.
CREATE OR REPLACE VIEW errors AS
SELECT method, error, sum(failed) AS calls FROM uses WHERE error IS NOT NULL GROUP BY method, error ORDER BY calls DESC;
