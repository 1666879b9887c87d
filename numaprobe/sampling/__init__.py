"""Memory of every cell, many times a second."""
