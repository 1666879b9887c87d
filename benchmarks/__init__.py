"""What numaprobe costs beside others, measured on the machine that runs it."""
