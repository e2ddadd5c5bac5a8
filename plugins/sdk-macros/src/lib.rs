//! The #[plugin] attribute.
