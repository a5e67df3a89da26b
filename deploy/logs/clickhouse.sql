-- The deprecation log in ClickHouse. In the log's folder:  clickhouse local --path log.ch --multiquery < clickhouse.sql
-- On a server put the files below user_files, or send them:
--   clickhouse client -q 'INSERT INTO events FORMAT JSONEachRow' --input_format_skip_unknown_fields 1 < deprecations.jsonl
-- Then:  SELECT * FROM report;  days;  unnamed;  last_use;  errors;

CREATE TABLE IF NOT EXISTS events
(
    timestamp DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    event LowCardinality(String),
    instance LowCardinality(String),
    request_id String,
    method LowCardinality(String),
    replacement LowCardinality(Nullable(String)),
    action LowCardinality(String),
    reason LowCardinality(Nullable(String)),
    mode LowCardinality(Nullable(String)),
    encoding LowCardinality(Nullable(String)),
    status Nullable(UInt16),
    error Nullable(String),
    errors Nullable(UInt64),
    count Nullable(UInt64),
    first Nullable(DateTime64(3, 'UTC')),
    last Nullable(DateTime64(3, 'UTC')),
    duration_ms Nullable(Float64),
    caller Tuple(key String, name Nullable(String), auth Nullable(String), user Nullable(String), fingerprint Nullable(String),
        application Nullable(String), address Nullable(String), user_agent Nullable(String), sdk Nullable(String))
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (method, timestamp);

-- A line that is torn or foreign is passed over.
INSERT INTO events
SELECT * FROM file('deprecations*.jsonl*', 'JSONEachRow', 'timestamp DateTime64(3, \'UTC\'), event String, instance String,
    request_id String, method String, replacement Nullable(String), action String, reason Nullable(String), mode Nullable(String),
    encoding Nullable(String), status Nullable(UInt16), error Nullable(String), errors Nullable(UInt64), count Nullable(UInt64),
    first Nullable(DateTime64(3, \'UTC\')), last Nullable(DateTime64(3, \'UTC\')), duration_ms Nullable(Float64),
    caller Tuple(key String, name Nullable(String), auth Nullable(String), user Nullable(String), fingerprint Nullable(String),
        application Nullable(String), address Nullable(String), user_agent Nullable(String), sdk Nullable(String))')
SETTINGS date_time_input_format = 'best_effort', input_format_skip_unknown_fields = 1,
    input_format_allow_errors_num = 1000000, input_format_allow_errors_ratio = 1;

-- One row for each line that tells of uses; `uses` says of how many.
CREATE VIEW IF NOT EXISTS uses AS
SELECT coalesce(caller.name, caller.key) AS who, caller.name IS NULL AS unnamed, method, replacement, action,
    if(event = 'deprecated_calls', coalesce(count, 1), 1) AS uses,
    coalesce(errors, if(error IS NULL, 0, if(event = 'deprecated_calls', coalesce(count, 1), 1))) AS failed,
    coalesce(first, timestamp) AS since, coalesce(last, timestamp) AS until, error, caller
FROM events WHERE event IN ('deprecated_call', 'deprecated_calls');

-- Who still calls what: as `report`.
CREATE VIEW IF NOT EXISTS report AS
SELECT who, method, sum(uses) AS calls, sumIf(uses, action = 'rewritten') AS rewritten, sumIf(uses, action = 'observed') AS observed,
    sumIf(uses, action = 'refused') AS refused, sum(failed) AS errors, min(since) AS first, max(until) AS last,
    argMax(replacement, until) AS call_instead
FROM uses GROUP BY who, unnamed, method ORDER BY unnamed DESC, calls DESC;

-- How much of it on each day, UTC.
CREATE VIEW IF NOT EXISTS days AS
SELECT who, method, toDate(since, 'UTC') AS day, sum(uses) AS calls FROM uses GROUP BY who, method, day ORDER BY day, calls DESC;

-- Whom nobody has given a name, and how they can be recognised.
CREATE VIEW IF NOT EXISTS unnamed AS
SELECT who AS key, sum(uses) AS calls, arraySort(groupUniqArray(method)) AS methods, max(until) AS last,
    argMax(caller.address, until) AS address, argMax(caller.sdk, until) AS sdk, argMax(caller.user_agent, until) AS user_agent
FROM uses WHERE unnamed GROUP BY who ORDER BY calls DESC;

-- How long a method is out of use.
CREATE VIEW IF NOT EXISTS last_use AS
SELECT method, max(until) AS last, uniqExact(who) AS callers, sum(uses) AS calls FROM uses GROUP BY method ORDER BY last DESC;

-- What the portal or the proxy answered instead of a result.
CREATE VIEW IF NOT EXISTS errors AS
SELECT method, error, sum(failed) AS calls FROM uses WHERE error IS NOT NULL GROUP BY method, error ORDER BY calls DESC;
