//! The front door: HTTP/JSON over a unix socket, with limits.
