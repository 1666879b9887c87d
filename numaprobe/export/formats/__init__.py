"""What writes each format: one module per format, each with ``render(host, **options)``."""
