"""numaprobe inside other programs: one module for each, imported by who wants it."""
