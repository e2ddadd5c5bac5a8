//! The program as people use it: a real daemon, real sockets, real processes, real libraries.
mod bad;
mod daemon;
mod disk;
mod door;
mod http;
mod journal;
mod many;
mod nested;
mod plugins;
mod restart;
mod run;
mod signals;
mod simulate;
mod tables;
mod terminal;
mod time;
mod weak;
