//! Resource and driver plugin: TCP ports of this host.
