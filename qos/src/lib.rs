//! Decides who is first: classes and priorities.
