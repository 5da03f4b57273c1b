"""Read a training's YAML file, or say in one line what is wrong with it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from napari_sparsessp.errors import InputError
from napari_sparsessp.files import read_yaml, user_path
from napari_sparsessp.networks import NetworkConfig
from napari_sparsessp.training import config as parts
from napari_sparsessp.training.config import TrainConfig, as_network
from napari_sparsessp.training.recipe import Recipe

_SECTIONS: dict[tuple[str, ...], type[BaseModel]] = {
    (): TrainConfig,
    ("model",): parts.ModelSection,
    ("data",): parts.Data,
    ("data", "simulated"): parts.Simulated,
    ("data", "pairs"): parts.Pairs,
    ("recipe",): Recipe,
    ("budget",): parts.Budget,
    ("validation",): parts.Validation,
}


def read_config(path: str | Path) -> TrainConfig:
    """Read a YAML file; relative paths in it begin at its folder.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    TrainConfig

    Raises
    ------
    InputError
        The file is missing or no YAML, or a value is impossible; names the field and
        what would be right.
    """
    path = user_path(path)
    values = read_yaml(path, "config")
    return make_config(values, path.parent)


def make_config(values: Any, folder: Path | None = None) -> TrainConfig:
    """Check a config.

    Parameters
    ----------
    values : dict
        As YAML has them.
    folder : Path, optional
        Where relative paths begin; the current folder by default.

    Raises
    ------
    InputError
        A value is impossible; names the field and what would be right.
    """
    if not isinstance(values, dict):
        raise InputError("the config has no `field: value` lines; see docs/training.md")
    try:
        # First and alone, so that an error tells of which kind of network it speaks.
        network = as_network(values.get("network", {}))
        config = TrainConfig.model_validate({**values, "network": network})
    except ValidationError as error:
        raise InputError(_first(error, values)) from error
    return _placed(config, folder or Path())


def _first(error: ValidationError, values: dict[str, Any]) -> str:
    first = error.errors()[0]
    place = tuple(str(part) for part in first["loc"])
    if error.title in ("NetworkConfig", "FineTune"):
        place = ("network", *place)
    if first["type"] == "extra_forbidden":
        section = place[:-1]
        kind = _SECTIONS.get(section)
        if section == ("network",):
            kind = parts.FineTune if error.title == "FineTune" else NetworkConfig
        known = ", ".join(
            field.alias or name for name, field in kind.model_fields.items()
        ) if kind else "none of that name"  # fmt: skip
        where = f"{'.'.join(section)} has" if section else "a config has"
        return f"{where} no field {place[-1]}; it has {known}"
    name = ".".join(place) or "config"
    if first["type"] == "missing":
        return f"the config lacks {name}; add it (see docs/training.md)"
    reason = first["msg"].removeprefix("Value error, ")
    reason = reason[0].lower() + reason[1:]
    found: Any = values
    for part in place:
        if isinstance(found, Mapping) and part in found:
            found = found[part]
        elif isinstance(found, list) and part.isdecimal() and int(part) < len(found):
            found = found[int(part)]
        else:
            break
    if isinstance(found, Mapping):
        return f"{name} cannot be used: {reason}"
    return f"{name} {found!r} cannot be used: {reason}"


def _placed(config: TrainConfig, folder: Path) -> TrainConfig:
    """Make paths absolute, so that nothing depends on where a program runs."""

    def absolute(path: Path | None) -> Path | None:
        return None if path is None else (folder / user_path(path)).absolute()

    data = config.data
    if data.simulated is not None:
        simulated = data.simulated.model_copy(
            update={"pool": absolute(data.simulated.pool)}
        )
        data = data.model_copy(update={"simulated": simulated})
    if data.pairs is not None:
        pairs = data.pairs.model_copy(
            update={
                "path": absolute(data.pairs.path),
                "root": absolute(data.pairs.root),
            }
        )
        data = data.model_copy(update={"pairs": pairs})
    if config.model.scores is not None:
        update = {"scores": absolute(config.model.scores)}
        model = config.model.model_copy(update=update)
        config = config.model_copy(update={"model": model})
    network = config.network
    if isinstance(network, parts.FineTune):
        beside = folder / user_path(network.source)
        if beside.exists():
            source = str(beside.absolute())
            network = network.model_copy(update={"source": source})
    return config.model_copy(
        update={"out": absolute(config.out), "data": data, "network": network}
    )


def config_text(config: TrainConfig, folder: Path | None = None) -> str:
    """Write a config as the YAML text that `read_config` reads.

    Parameters
    ----------
    config : TrainConfig
    folder : Path, optional
        Where the file will lie: what is in it gets a relative path, so that both can
        be moved together. Absolute paths without it.

    Returns
    -------
    str
        Only what differs from the defaults, and what decides about the result.
    """
    import yaml

    values = config.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    # Said in any case: a reader shall not have to know the defaults of a version.
    recipe = config.recipe.model_dump(mode="json")
    start = Recipe(name=config.recipe.name).model_dump(mode="json")
    changed = {name: one for name, one in recipe.items() if one != start[name]}
    values["recipe"] = {"name": config.recipe.name, **changed}
    values["seed"], values["device"] = config.seed, config.device
    values["validation"] = config.validation.model_dump(mode="json")
    if folder is not None:
        values = _relative(values, folder.absolute())
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def _relative(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Shorten the paths of what lies in a folder."""

    def short(text: Any) -> Any:
        path = Path(text)
        inside = path.is_absolute() and path.is_relative_to(folder)
        return path.relative_to(folder).as_posix() if inside else text

    values["out"] = short(values["out"])
    data = values["data"]
    for section, name in (("simulated", "pool"), ("pairs", "path"), ("pairs", "root")):
        part = data.get(section) or {}
        if part.get(name):
            part[name] = short(part[name])
    network = values.get("network") or {}
    if "from" in network and (folder / str(network["from"])).exists():
        network["from"] = short(network["from"])
    return values
