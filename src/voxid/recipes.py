"""Recipe files: YAML or JSON turned into dataclasses, with every mistake named by its key."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

from voxid.errors import ConfigError

Range = tuple[float, float]
"""From least to most; a number in a recipe file is both."""


def read_recipe(path: str | Path) -> Any:
    """Return the plain values in a recipe file.

    Raises:
        ConfigError: ``recipe_missing``; ``recipe_invalid`` for what is neither YAML nor JSON; ``yaml_missing`` where
            the file is YAML and PyYAML is not installed.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(
            "recipe_missing",
            f"there is no recipe at {path}; give a .yaml or .json file such as those in recipes/.",
        )
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        try:
            return json.loads(text)
        except ValueError as error:
            raise ConfigError("recipe_invalid", f"{path} is not valid JSON: {error}.") from None
    try:
        import yaml
    except ImportError:
        raise ConfigError(
            "yaml_missing",
            f"{path} is YAML, which the core does not read; install pyyaml or write the recipe as .json.",
        ) from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError("recipe_invalid", f"{path} is not valid YAML: {error}.") from None


def build(kind: Any, raw: Any, where: str) -> Any:
    """Turn plain values into the dataclass ``kind``, refusing keys it does not have.

    Args:
        kind: a dataclass of numbers, strings, flags, tuples, :data:`Range`, further dataclasses, or one of those or
            None.
        raw: of :func:`read_recipe`.
        where: how errors call it.

    Raises:
        ConfigError: ``recipe_invalid``; the sentence names the key.
    """
    if NoneType in get_args(kind):
        some = next(one for one in get_args(kind) if one is not NoneType)
        return None if raw is None else build(some, raw, where)
    if not dataclasses.is_dataclass(kind):
        return _value(kind, raw, where)
    if not isinstance(raw, dict):
        raise ConfigError("recipe_invalid", f"{where} must be a mapping, found {type(raw).__name__}.")
    hints = get_type_hints(kind)
    known = {f.name: f for f in dataclasses.fields(kind)}
    unknown = sorted(set(map(str, raw)) - set(known))
    if unknown:
        raise ConfigError(
            "recipe_invalid",
            f"{where} has unknown key {unknown[0]!r}; known keys: {', '.join(sorted(known))}.",
        )
    missing = [
        name
        for name, f in known.items()
        if name not in raw and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ConfigError("recipe_invalid", f"{where} lacks the key {missing[0]!r}.")
    make: Callable[..., Any] = kind  # type: ignore[assignment]  # narrowed to a class or an instance; it is a class
    return make(**{name: build(hints[name], value, f"{where}: {name}") for name, value in raw.items()})


def _value(kind: Any, raw: Any, where: str) -> Any:
    if kind == Range:
        return _range(raw, where)
    arguments = get_args(kind)
    if arguments and isinstance(raw, list):
        return tuple(build(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(raw))
    if kind is float and _is_number(raw):
        return float(raw)
    if arguments or not isinstance(raw, kind) or (kind is int and isinstance(raw, bool)):
        wanted = "a list" if arguments else kind.__name__
        raise ConfigError("recipe_invalid", f"{where} must be {wanted}, found {raw!r}.")
    return raw


def _range(raw: Any, where: str) -> Range:
    pair = [raw, raw] if _is_number(raw) else raw
    if isinstance(pair, list) and len(pair) == 2 and all(map(_is_number, pair)):
        return float(pair[0]), float(pair[1])
    raise ConfigError("recipe_invalid", f"{where} must be a number or [least, most], found {raw!r}.")


def _is_number(raw: Any) -> bool:
    return isinstance(raw, int | float) and not isinstance(raw, bool)
