"""Named tuples as of ``collections``, made without compiling anything until the first value is built.

``collections.namedtuple`` compiles a constructor for each class, and imports half a dozen modules: for the classes that
an import of numaprobe defines that is half of its time, and most programs build values of a few of them.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import namedtuple  # noqa: TID251  # what the type checker knows
else:
    import sys
    from _collections import _tuplegetter

    def namedtuple(name, names, *, defaults=()):
        """A class as ``collections.namedtuple`` makes it; ``defaults`` are those of the last fields."""
        fields = tuple(map(sys.intern, names.split()))
        with_defaults = fields[len(fields) - len(defaults) :]

        def __new__(cls, *values, **more):  # noqa: N807
            made.__new__ = staticmethod(_constructor(fields, defaults))
            return made.__new__(cls, *values, **more)

        members = {
            "__slots__": (),
            "__match_args__": fields,
            "__new__": __new__,
            "_fields": fields,
            "_field_defaults": dict(zip(with_defaults, defaults)),
        }
        for i, field in enumerate(fields):
            members[field] = _tuplegetter(i, "")
        members.update(_METHODS)
        made = type(name, (tuple,), members)
        made.__module__ = sys._getframe(1).f_globals.get("__name__", "__main__")
        return made

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

    def _make(cls, values):
        made = tuple.__new__(cls, values)
        if len(made) != len(cls._fields):
            raise TypeError(f"Expected {len(cls._fields)} arguments, got {len(made)}")
        return made

    def _replace(self, /, **changes):
        made = self._make(map(changes.pop, self._fields, self))
        if changes:
            raise ValueError(f"Got unexpected field names: {list(changes)!r}")
        return made

    def _asdict(self):
        return dict(zip(self._fields, self))

    def __repr__(self):  # noqa: N807
        values = ", ".join([f"{name}={value!r}" for name, value in zip(self._fields, self)])
        return f"{type(self).__name__}({values})"

    def __getnewargs__(self):  # noqa: N807
        return tuple(self)

    _METHODS = {
        "__signature__": _Signature(),
        "_make": classmethod(_make),
        "_replace": _replace,
        "__replace__": _replace,
        "_asdict": _asdict,
        "__repr__": __repr__,
        "__getnewargs__": __getnewargs__,
    }

__all__ = ["namedtuple"]
