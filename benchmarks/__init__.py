"""What numaprobe costs compared with other programs, measured on the machine that runs it."""
