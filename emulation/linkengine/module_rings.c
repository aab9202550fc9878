/* The methods of the Engine object for ports over virtqueues. */
#include "module.h"

#include <errno.h>

PyObject *le_rings_add(struct le_module_engine *self, PyObject *args)
{
    int fd;
    unsigned int entries;
    struct le_vring_layout layout;
    if (!PyArg_ParseTuple(args, "iI:add_rings", &fd, &entries) || le_module_check_idle(self) < 0)
        return NULL;
    if (self->engine.port_count == self->engine.max_ports)
        return PyErr_Format(PyExc_ValueError, "the maximum number of ports is reached");
    if (!le_vring_layout(entries, &layout))
        return PyErr_Format(PyExc_ValueError, "entries %u: a power of two from %d to %d", entries, VRING_MIN_ENTRIES,
                            VRING_MAX_ENTRIES);
    if (le_loop_watch_rings(&self->loop, self->engine.port_count, fd, entries) == 0)
        return PyLong_FromLongLong(le_engine_add_port(&self->engine));
    if (errno == EINVAL)
        return PyErr_Format(PyExc_ValueError,
                            "the rings' memory is a memfd of at least %llu bytes, sealed with F_SEAL_SHRINK",
                            (unsigned long long)layout.bytes);
    return PyErr_SetFromErrno(PyExc_OSError);
}

/* The number of a port with rings. */
static int rings_number(const struct le_module_engine *self, PyObject *value, uint32_t *number)
{
    unsigned long port = PyLong_AsUnsignedLong(value);
    if (PyErr_Occurred())
        return -1;
    if (port >= self->engine.port_count || !self->loop.ports[port].rings) {
        PyErr_Format(PyExc_ValueError, "there is no port %lu with rings", port);
        return -1;
    }
    *number = (uint32_t)port;
    return 0;
}

PyObject *le_rings_set(struct le_module_engine *self, PyObject *args)
{
    PyObject *ports, *items;
    int active;
    uint32_t number;
    if (!PyArg_ParseTuple(args, "Op:set_rings", &ports, &active) || le_module_check_idle(self) < 0 ||
        !(items = PySequence_Fast(ports, "ports: a sequence of numbers")))
        return NULL;
    Py_ssize_t count = PySequence_Fast_GET_SIZE(items);
    for (Py_ssize_t i = 0; i < count; i++)
        if (rings_number(self, PySequence_Fast_GET_ITEM(items, i), &number) < 0)
            goto failed;
    if (!active)
        le_loop_deliver_due(&self->loop); /* frames due before the change are delivered first */
    for (Py_ssize_t i = 0; i < count; i++) {
        if (rings_number(self, PySequence_Fast_GET_ITEM(items, i), &number) < 0)
            goto failed;
        le_loop_set_rings(&self->loop, number, active);
    }
    Py_DECREF(items);
    Py_RETURN_NONE;
failed:
    Py_DECREF(items);
    return NULL;
}

PyObject *le_rings_call_fd(struct le_module_engine *self, PyObject *Py_UNUSED(unused))
{
    return PyLong_FromLong(self->loop.rings.call_fd);
}

PyObject *le_rings_layout(PyObject *Py_UNUSED(module), PyObject *args)
{
    unsigned int entries;
    struct le_vring_layout layout;
    if (!PyArg_ParseTuple(args, "I:vring_layout", &entries))
        return NULL;
    if (!le_vring_layout(entries, &layout))
        return PyErr_Format(PyExc_ValueError, "entries %u: a power of two from %d to %d", entries, VRING_MIN_ENTRIES,
                            VRING_MAX_ENTRIES);
    const struct le_vring_place *receive = &layout.ring[VRING_RECEIVE], *transmit = &layout.ring[VRING_TRANSMIT];
    return Py_BuildValue("(K(KKK)(KKK))", (unsigned long long)layout.bytes, (unsigned long long)receive->desc,
                         (unsigned long long)receive->avail, (unsigned long long)receive->used,
                         (unsigned long long)transmit->desc, (unsigned long long)transmit->avail,
                         (unsigned long long)transmit->used);
}
