"""The version of numaprobe, in a module that nothing else has to be imported for."""

VERSION = "0.1.0"
# Of every JSON document; a document that means something else has another.
SCHEMA = "numaprobe/1"
