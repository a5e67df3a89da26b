//! The engine: a legacy call in, the same operation under its successor's name out (pure). It knows no method by name.
