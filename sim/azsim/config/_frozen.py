"""A mapping for the inside of frozen models: a dict that refuses changes and can be hashed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class FrozenMap(dict[K, V]):
    """A dict that cannot be changed; still a dict, so that pydantic, json and pickle know it."""

    if not TYPE_CHECKING:  # type checkers may go on believing that a dict can be changed

        def _refuse(self, *_args: Any, **_kwargs: Any) -> NoReturn:
            raise TypeError("a chip's table cannot be changed: load the chip with an override")

        __setitem__ = __delitem__ = __ior__ = _refuse
        clear = pop = popitem = setdefault = update = _refuse

        def __hash__(self) -> int:
            return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[type[FrozenMap[K, V]], tuple[dict[K, V]]]:
        return type(self), (dict(self),)
