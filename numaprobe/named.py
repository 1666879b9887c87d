"""Named tuples as of ``collections``, made without compiling anything until several values are built.

``collections.namedtuple`` compiles a constructor for each class, makes two classes of it, and imports half a dozen
modules: for the classes that an import of numaprobe defines that is half of its time, and most programs build values of
a few of them. Here it is the base of a class statement only.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import namedtuple  # noqa: TID251  # what the type checker knows
else:
    import sys
    from _collections import _tuplegetter

    # Compiling a constructor takes as long as building some thirty values without.
    FEW = 8
    # How many values of a class were built so far, or the compiled constructor.
    _BUILT = {}

    class _Fields:
        """What stands in the place of a class's base: the class is made once, and not a base for it first."""

        def __init__(self, names, defaults):
            self.fields = tuple(map(sys.intern, names.split()))
            self.defaults = defaults

        def __mro_entries__(self, bases):
            return (NamedTuple,)

    def namedtuple(name, names, *, defaults=()):  # noqa: ARG001 (the type checker's)
        """The base of a class as by ``collections.namedtuple``; ``defaults`` are those of the last fields."""
        return _Fields(names, defaults)

    def _row(owner, values, more):
        """All values by position; None for wrong arguments, about which the compiled constructor complains."""
        fields, known = owner._fields, owner._field_defaults
        rest = fields[len(values) :]
        if len(values) > len(fields) or not more.keys() <= set(rest):
            return None
        try:
            return values + tuple([more[field] if field in more else known[field] for field in rest])
        except KeyError:
            return None

    def _constructor(fields, defaults):
        names = ", ".join(fields)
        source = f"lambda _cls, {names}: _new(_cls, ({names}{',' if len(fields) == 1 else ''}))"
        function = eval(source, {"_new": tuple.__new__, "__builtins__": {}})  # noqa: S307 (names of this package)
        function.__defaults__ = tuple(defaults) or None
        function.__name__ = "__new__"
        return function

    class _Signature:
        """What ``inspect.signature`` and ``help`` show, made when it is looked at."""

        def __get__(self, instance, owner):
            from inspect import Parameter, Signature

            empty = Parameter.empty
            known = owner._field_defaults
            kind = Parameter.POSITIONAL_OR_KEYWORD
            return Signature([Parameter(name, kind, default=known.get(name, empty)) for name in owner._fields])

    class NamedTuple(tuple):
        """What all named tuples have in common."""

        __slots__ = ()

        def __init_subclass__(cls):
            spec = cls.__dict__.get("__orig_bases__", (None,))[0]
            if type(spec) is not _Fields:
                return
            fields, defaults = spec.fields, spec.defaults
            cls._fields = cls.__match_args__ = fields
            cls._field_defaults = dict(zip(fields[len(fields) - len(defaults) :], defaults))
            for i, field in enumerate(fields):
                setattr(cls, field, _tuplegetter(i, ""))

        def __new__(cls, *values, **more):
            owner = next(base for base in cls.__mro__ if "_fields" in base.__dict__)
            built = _BUILT.get(owner, 0)
            if type(built) is int:
                row = _row(owner, values, more)
                if row is not None and built < FEW:
                    _BUILT[owner] = built + 1
                    return tuple.__new__(cls, row)
                built = _BUILT[owner] = _constructor(owner._fields, owner._field_defaults.values())
                if "__new__" not in owner.__dict__:
                    owner.__new__ = staticmethod(built)
            return built(cls, *values, **more)

        __signature__ = _Signature()

        @classmethod
        def _make(cls, values):
            made = tuple.__new__(cls, values)
            if len(made) != len(cls._fields):
                raise TypeError(f"Expected {len(cls._fields)} arguments, got {len(made)}")
            return made

        def _replace(self, /, **changes):
            fields = self._fields
            values = list(self)
            for name, value in changes.items():
                if name not in fields:
                    raise ValueError(f"Got unexpected field names: {[n for n in changes if n not in fields]!r}")
                values[fields.index(name)] = value
            return tuple.__new__(type(self), values)

        __replace__ = _replace

        def _asdict(self):
            return dict(zip(self._fields, self))

        def __repr__(self):
            values = ", ".join([f"{name}={value!r}" for name, value in zip(self._fields, self)])
            return f"{type(self).__name__}({values})"

        def __getnewargs__(self):
            return tuple(self)


__all__ = ["namedtuple"]
