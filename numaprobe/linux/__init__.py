"""Files of a Linux kernel into ``LinuxFacts``: what the kernel says, in its own words and units."""
