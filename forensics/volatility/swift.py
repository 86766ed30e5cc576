# This file extends Volatility 3 and is licensed under the Volatility Software License 1.0
# (https://www.volatilityfoundation.org/license/vsl-v1.0).
"""Volatility's objects with less work for the same answers.

Every value that a plugin reads is an object, and making one costs Volatility 2.28.2 more than reading its bytes: four
mappings chained, of which one lists its fields anew at each question; a template asked for the same arguments each
time, and cloned where nothing was added to it. What is here answers those questions once. It changes no result: each
function below stands for the one of the same name, with the version that it was written against.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

from volatility3.framework import constants, contexts, exceptions, objects
from volatility3.framework.interfaces.objects import ObjectInformation, ObjectInterface, ReadOnlyMapping, Template
from volatility3.framework.objects import templates

WRITTEN_FOR = (2, 28, 2)
"""The version whose functions these stand for (volatility3.framework.constants)."""

_FIELDS = tuple(ObjectInformation.__dataclass_fields__)
_KNOWN = frozenset(_FIELDS)


class View(ReadOnlyMapping):  # type: ignore[misc]  # Volatility has no types
    """What an object says of itself (`vol`), its values as plain attributes."""

    def __init__(self) -> None:
        """Begin empty."""

    @property
    def _dict(self) -> dict[str, Any]:
        return self.__dict__

    def __getattr__(self, attr: str) -> Any:
        """Refuse what is not there, in Volatility's words."""
        raise AttributeError(f"Object has no attribute: {ReadOnlyMapping.__name__}.{attr}")

    def __getitem__(self, name: str) -> Any:
        return self.__dict__[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.__dict__)

    def __len__(self) -> int:
        return len(self.__dict__)

    def __eq__(self, other: object) -> bool:
        return dict(self) == dict(other)  # type: ignore[call-overload, no-any-return]

    __hash__ = None  # type: ignore[assignment]


def _object(self: Any, context: Any, type_name: str, object_info: ObjectInformation, **kwargs: Any) -> None:
    """ObjectInterface.__init__: what an object knows, in one mapping instead of four."""
    view = View()
    known = view.__dict__
    known.update(kwargs)
    known["layer_name"] = layer_name = object_info.layer_name
    known["native_layer_name"] = object_info.native_layer_name
    known["member_name"] = object_info.member_name
    known["parent"] = object_info.parent
    known["size"] = object_info.size
    known["type_name"] = type_name
    known["offset"] = object_info.offset & context.layers[layer_name].address_mask
    state = self.__dict__
    state["_vol"] = known
    state["_view"] = view
    state["_context"] = context


def _again(self: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """PrimitiveObject.__getnewargs_ex__: how to make a value again without its layer."""
    known = self._vol
    info = ObjectInformation(**{name: known[name] for name in _FIELDS})
    value = {"new_value": self._PrimitiveObject__new_value}
    return (self._context, known["type_name"], info, self._data_format), value


def _member(self: Any, attr: str) -> Any:
    """AggregateType.__getattr__."""
    state = self.__dict__
    concrete = state.get("_concrete_members")
    if concrete is None or attr in {"_concrete_members", "vol"}:
        raise AttributeError("Object has not been properly initialized")
    if attr in concrete:
        return concrete[attr]
    if attr[0] == "_" and not attr.startswith("__") and "__" in attr:
        attr = attr[attr.find("__", 1) :]
    known = state["_vol"]
    found = known["members"].get(attr)
    if found is None:
        names = [name for kind, name in objects.AggregateTypes.items() if isinstance(self, kind)]
        raise AttributeError(f"{names[-1] if names else 'AggregateType'} has no attribute: {known['type_name']}.{attr}")
    context, layer_name = state["_context"], known["layer_name"]
    relative, template = found
    if isinstance(template, templates.ReferenceTemplate):
        template = context.symbol_space.get_type(template.vol.type_name)
    where = (known["offset"] + relative) & context.layers[layer_name].address_mask
    native = known["native_layer_name"] or layer_name
    info = ObjectInformation(layer_name, where, native, attr, self, template.size)
    member = concrete[attr] = template(context=context, object_info=info)
    return member


def _element(self: Any, i: Any) -> Any:
    """Array.__getitem__."""
    known, context = self._vol, self._context
    layer_name, offset, subtype = known["layer_name"], known["offset"], known["subtype"]
    mask, size = context.layers[layer_name].address_mask, subtype.size
    native = known["native_layer_name"] or layer_name
    series = range(known["count"])[i]
    if isinstance(series, int):
        info = ObjectInformation(layer_name, (offset + size * series) & mask, native, None, self, size)
        return subtype(context=context, object_info=info)
    infos = (ObjectInformation(layer_name, (offset + size * at) & mask, native, None, self, size) for at in series)
    return [subtype(context=context, object_info=info) for info in infos]


def _dereference(self: Any, layer_name: str | None = None) -> Any:
    """Pointer.dereference."""
    known, cache = self._vol, self._cache
    if layer_name is None:
        layer_name = known["native_layer_name"]
    found = cache.get(layer_name)
    if found is None:
        context, subtype = self._context, known["subtype"]
        offset = int(self) & context.layers[layer_name].address_mask
        info = ObjectInformation(layer_name, offset, layer_name, None, self, subtype.size)
        found = cache[layer_name] = subtype(context=context, object_info=info)
    return found


def _value(_: Any, context: Any, data_format: Any, object_info: ObjectInformation) -> Any:
    """PrimitiveObject._unmarshall, for integers."""
    length, order, signed = data_format
    data = context.layers[object_info.layer_name].read(object_info.offset, length) if length > 0 else b""
    return int.from_bytes(data, byteorder=order, signed=signed)


def _address(_: Any, context: Any, data_format: Any, object_info: ObjectInformation) -> int:
    """Pointer._unmarshall."""
    length, order, signed = data_format
    if signed:
        raise ValueError("Pointers cannot have signed values")
    layers = context.layers
    data = layers[object_info.layer_name].read(object_info.offset, length)
    return int.from_bytes(data, byteorder=order) & int(layers[object_info.native_layer_name].address_mask)


def _construct(self: Any, context: Any, object_info: ObjectInformation) -> Any:
    """ObjectTemplate.__call__: the arguments are put together once, and again after each change."""
    ready = self.__dict__.get("_ready")
    if ready is None:
        arguments = dict(self.vol)
        ready = self.__dict__["_ready"] = (arguments.pop("object_class"), arguments)
    return ready[0](context=context, object_info=object_info, **ready[1])


_template_size = templates.ObjectTemplate.size.fget


def _size(self: Any) -> Any:
    """ObjectTemplate.size, once."""
    size = self.__dict__.get("_sized")
    if size is None:
        size = self.__dict__["_sized"] = _template_size(self)
    return size


def _update(self: Any, **new_arguments: Any) -> None:
    """Template.update_vol: what was put together is no longer so."""
    self.__dict__.pop("_ready", None)
    self.__dict__.pop("_sized", None)
    self._vol.update(new_arguments)


def _clone(self: Any) -> Any:
    """Template.clone: as it was made, without what was added since."""
    _, arguments, name = self._vol.maps
    return self.__class__(**name, **arguments) if not name.keys() & arguments.keys() else _slow_clone(self)


_slow_clone = Template.clone
_slow_cast = ObjectInterface.cast


def _untouched(template: Any) -> bool:
    """Tell whether a template is as its clone would be."""
    return type(template) is templates.ObjectTemplate and not template._vol.maps[0]  # noqa: SLF001


def _cast(self: Any, new_type_name: str, **additional: Any) -> Any:
    """ObjectInterface.cast, without a clone that would be the same."""
    if additional:
        return _slow_cast(self, new_type_name, **additional)
    if "!" not in new_type_name:
        new_type_name = f"{self.get_symbol_table_name()}!{new_type_name}"
    known, context = self._vol, self._context
    template = context.symbol_space.get_type(new_type_name)
    if not _untouched(template):
        template = template.clone()
    layer_name = known["layer_name"]
    native = known["native_layer_name"] or layer_name
    info = ObjectInformation(layer_name, known["offset"], native, known["member_name"], known["parent"], template.size)
    return template(context=context, object_info=info)


_slow_make = contexts.Context.object


def _make(
    self: Any, object_type: Any, layer_name: str, offset: int, native_layer_name: str | None = None, **arguments: Any
) -> Any:
    """Context.object, without a clone that would be the same."""
    if not arguments and isinstance(object_type, str):
        try:
            template = self._symbol_space.get_type(object_type)
        except exceptions.SymbolError:
            template = self._symbol_space.get_enumeration(object_type)
        if _untouched(template):
            info = ObjectInformation(layer_name, offset, native_layer_name or layer_name, None, None, template.size)
            return template(context=self, object_info=info)
    return _slow_make(self, object_type, layer_name, offset, native_layer_name, **arguments)


def _field(self: Any, key: str) -> Any:
    """ObjectInformation.__getitem__."""
    if key in _KNOWN:
        return getattr(self, key)
    raise KeyError(f"No {key} present in ObjectInformation")


def _has_field(_: Any, key: str) -> bool:
    """ObjectInformation.__contains__."""
    return key in _KNOWN


def _attribute(self: Any, attr: str) -> Any:
    """ReadOnlyMapping.__getattr__, with one look instead of two."""
    if attr == "_dict":
        raise AttributeError(attr)
    try:
        return self._dict[attr]
    except KeyError:
        raise AttributeError(f"Object has no attribute: {type(self).__name__}.{attr}") from None


_STANDS_FOR: tuple[tuple[Any, str, Any], ...] = (
    (ObjectInformation, "__getitem__", _field),
    (ObjectInformation, "__contains__", _has_field),
    (ReadOnlyMapping, "__getattr__", _attribute),
    (ObjectInterface, "__init__", _object),
    (ObjectInterface, "vol", property(operator.attrgetter("_view"))),
    (ObjectInterface, "cast", _cast),
    (objects.PrimitiveObject, "__getnewargs_ex__", _again),
    (objects.Integer, "_unmarshall", classmethod(_value)),
    (objects.Char, "_unmarshall", classmethod(_value)),
    (objects.Boolean, "_unmarshall", classmethod(_value)),
    (objects.Pointer, "_unmarshall", classmethod(_address)),
    (objects.Pointer, "dereference", _dereference),
    (objects.Array, "__getitem__", _element),
    (objects.AggregateType, "__getattr__", _member),
    (Template, "update_vol", _update),
    (Template, "clone", _clone),
    (templates.ObjectTemplate, "size", property(_size)),
    (templates.ObjectTemplate, "__call__", _construct),
    (contexts.Context, "object", _make),
)


def hasten() -> None:
    """Put them in their places: in the worker's process, before it opens an image; another version keeps its own."""
    if (constants.VERSION_MAJOR, constants.VERSION_MINOR, constants.VERSION_PATCH) != WRITTEN_FOR:
        return
    for kind, name, ours in _STANDS_FOR:
        setattr(kind, name, ours)
