//! Resource and driver plugin: cpu, memory, pids and gpu of this host.
