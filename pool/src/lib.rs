//! Remembers what exists and who holds it: the books.
