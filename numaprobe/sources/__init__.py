"""The sources of bytes: live files and hypercalls, recorded trees, archives and transcripts."""
