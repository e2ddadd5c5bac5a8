//! The border: carries each plugin trait across a shared library.
