"""numaprobe inside other programs, one module each; import only the one you need."""
