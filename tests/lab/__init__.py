"""The lab: real kernels and real hypervisors, booted under QEMU's software emulation and compared with numaprobe."""
