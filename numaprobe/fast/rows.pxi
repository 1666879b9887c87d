# ---- Rows from columns: thousands of named tuples without a call for each ----

cdef extern from "fast/objects.h":
    object np_row(object type, Py_ssize_t count)
    int np_fill(object row, Py_ssize_t position, object value)
    void PyObject_GC_UnTrack(object made)


def rows(type kind not None, tuple keys not None, tuple columns not None):
    """A list of tuples of a type, one for each key, with a value of each column.

    A column is a ``dict`` by key (None for a missing one), a ``tuple`` by position, or any other value, which every row
    has. The rows are hidden from the garbage collector, which would otherwise look at each of them again and again:
    they must hold numbers, strings, and tuples of these.
    """
    cdef Py_ssize_t i, j, count = len(keys), width = len(columns)
    cdef list out = [None] * count
    cdef list filled = []
    cdef object row, value, column, key
    if not np_is_kind(kind, tuple):
        raise TypeError("rows are tuples")
    for column in columns:
        if type(column) is tuple and len(<tuple>column) != count:
            raise ValueError(f"a column of {len(<tuple>column)} values for {count} rows")
        filled.append(None if type(column) is dict and not <dict>column else column)
    for i in range(count):
        row = np_row(kind, width)
        key = keys[i]
        for j in range(width):
            column = filled[j]
            if type(column) is dict:
                value = (<dict>column).get(key)
            elif type(column) is tuple:
                value = (<tuple>column)[i]
            else:
                value = column
            np_fill(row, j, value)
        out[i] = row
    return out
