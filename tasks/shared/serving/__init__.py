"""Servers of ours on loopback: who may speak to them, with which key, and what environment their processes get."""
