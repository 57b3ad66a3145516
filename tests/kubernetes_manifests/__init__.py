"""Functions and rules that live in a cluster, with a real API server and real messages."""
