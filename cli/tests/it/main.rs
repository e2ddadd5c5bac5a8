//! The program as people use it: a real daemon, real sockets, real processes, real libraries.
mod bad;
mod batch;
mod daemon;
mod disk;
mod door;
mod http;
mod nested;
mod plugins;
mod restart;
mod run;
mod siege;
mod simulate;
mod tables;
mod time;
mod weak;
