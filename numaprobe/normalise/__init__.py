"""From facts to the model: the only place that interprets what a kernel or hypervisor reports."""
