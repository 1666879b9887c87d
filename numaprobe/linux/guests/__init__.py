"""Processes that run guests into ``GuestFacts``: what ``/proc`` and control groups report about each."""
