//! Decides what samples mean: bounded rings and their windows.
