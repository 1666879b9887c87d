"""Processes that run guests into ``GuestFacts``: what ``/proc`` and control groups say of each."""
