//! Allocator plugins first-fit, best-fit and worst-fit.
