//! Advances the books: step asks the plugins and emits events, apply folds them.
