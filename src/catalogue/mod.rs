//! The rules: which methods are deprecated, and what becomes of their calls (pure).
