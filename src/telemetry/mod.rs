//! What happened, said in one place: the deprecation log, metrics, callers, health.
