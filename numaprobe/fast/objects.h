/* Objects of a type that is known at run time only; a call from Python would cost a third of a short read. */
#ifndef NUMAPROBE_OBJECTS_H
#define NUMAPROBE_OBJECTS_H

#include <Python.h>

static PyObject *np_new(PyObject *type, PyObject *nothing)
{
    return ((PyTypeObject *)type)->tp_new((PyTypeObject *)type, nothing, NULL);
}

static int np_is_kind(PyObject *type, PyObject *base)
{
    return PyType_IsSubtype((PyTypeObject *)type, (PyTypeObject *)base);
}

/* An empty tuple of a type, which the garbage collector never looks into: for what holds no object that can hold it. */
static PyObject *np_row(PyObject *type, Py_ssize_t count)
{
    PyTypeObject *kind = (PyTypeObject *)type;
    PyObject *made = kind == &PyTuple_Type ? PyTuple_New(count) : kind->tp_alloc(kind, count);
    if (made != NULL)
        PyObject_GC_UnTrack(made);
    return made;
}

static int np_fill(PyObject *row, Py_ssize_t position, PyObject *value)
{
    Py_INCREF(value);
    PyTuple_SET_ITEM(row, position, value);
    return 0;
}

#endif
