"""Files of a Linux kernel into ``LinuxFacts``: what the kernel reports, in its own words and units."""
