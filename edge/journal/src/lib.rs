//! Append, sync, read back and follow: the journal on SQLite.
