"""The hypervisor as a source: detection, version negotiation, hypercalls, and the resulting facts.

Nothing here opens a device or interprets what it finds; the port through which hypercalls are made is given.
"""
