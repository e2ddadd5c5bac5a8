//! Makes the world match the books: cgroups, process trees, reclaim with proof.
