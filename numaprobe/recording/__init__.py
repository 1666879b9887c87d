"""Writing recordings: probing through ports that keep what they saw."""
