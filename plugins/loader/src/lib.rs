//! Discovers, inspects, stages, probes, opens and supervises plugin libraries, inline or in a child.
