//! Decides where: the fits and the index that keeps them from scanning.
