//! The front door: HTTP/1.1 and JSON over a unix socket (and TCP when asked), with a limit on
//! everything that a peer can make large, deep, slow or many.
//!
//! The host implements [`House`] and calls [`bind_unix`] and [`serve_unix`]; this crate knows neither
//! the engine nor the journal.
#![forbid(unsafe_code)]

mod accept;
mod address;
mod audit;
mod batch;
mod bearer;
mod claims;
mod connection;
mod contract;
mod denial;
mod direct;
mod error;
mod events;
mod framing;
mod guard;
mod hall;
mod house;
mod json;
pub mod limits;
mod local;
mod objects;
mod openapi;
mod plugins;
mod pulse;
mod query;
mod reads;
mod resize;
mod routes;
mod seats;
mod segment;
mod settings;
mod socket;
mod spares;
mod stream;
mod tls;
mod unread;
mod verbs;
mod waiters;
mod wing;

pub use accept::{serve_tcp, serve_unix};
pub use audit::BODY_BYTES_MAX as AUDITED_BYTES_MAX;
pub use bearer::{Bearer, Verb, digest};
pub use error::Error;
pub use guard::Guard;
pub use house::{Done, House, Known, Peer, Place};
pub use limits::Limits;
pub use openapi::openapi;
pub use socket::{bind_unix, clear};
pub use tls::Tls;
pub use wing::{Inside, Refused, Wing};
