"""Hypercalls about Xen's domains into ``DomainFacts``."""
