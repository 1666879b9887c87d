"""Where bytes come from: live files and hypercalls, recorded trees, archives and transcripts."""
