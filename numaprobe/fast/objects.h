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

#endif
