//! The host with real Python.
