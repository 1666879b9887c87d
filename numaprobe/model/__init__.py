"""The values that everything above the sources works with: hosts, cells, cpus, domains, and their documents."""
