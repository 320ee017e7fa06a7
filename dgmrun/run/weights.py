"""Loads parameters from files: safetensors, npz without pickle, or another run."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from dgmrun.errors import Mistake
from dgmrun.run import untrusted
from dgmrun.run.directory import Run


def locate(weights: str) -> Path:
    """Returns the file that `weights=` names, or that of the run it names.

    Raises:
        Mistake: there is no such file.
    """
    path = Path(os.path.abspath(os.path.expanduser(weights)))
    if path.is_dir():
        path = Run.open(path).weights_file
    if not path.is_file():
        raise Mistake(f"`weights` must be a .safetensors or .npz file or a run, but there is no file {path}")
    return path


def read(file: Path) -> dict[str, Tensor]:
    """Reads the named tensors of a .safetensors or .npz file; nothing in it is executed.

    Raises:
        Mistake: the file is neither, or is damaged.
    """
    try:
        if file.suffix.lower() == ".npz":
            return {name: torch.from_numpy(array) for name, array in untrusted.arrays(file).items()}
        return load_file(file)
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise Mistake(f"{file} must be a whole .safetensors or .npz file of numbers, but is not: {error}") from None


def load(model: nn.Module, tensors: dict[str, Tensor], file: Path) -> None:
    """Copies parameters into a model, by their names or its `aliases`; vectors may have extra axes of length 1.

    Parameters that its `copies` name are, where the file has none of them, copies of others.

    Raises:
        Mistake: a parameter is missing or unknown, has another shape, or is not finite.
    """
    aliases: dict[str, str] = getattr(type(model), "aliases", {})
    copies: dict[str, str] = getattr(type(model), "copies", {})
    named = {aliases.get(name, name): tensor for name, tensor in tensors.items()}
    is_ambiguous = len(named) < len(tensors)
    named = {copy: named[name] for copy, name in copies.items() if name in named} | named
    state = model.state_dict()
    for name, parameter in state.items():
        if name not in named or is_ambiguous:
            raise Mistake(f"{file} must have the parameters {', '.join(state)}, but has {', '.join(tensors)}")
        given = named[name]
        is_float = given.is_floating_point()
        if is_float != parameter.is_floating_point() or not (is_float or given.dtype == parameter.dtype):
            must = "floating-point numbers" if parameter.is_floating_point() else parameter.dtype
            raise Mistake(f"`{name}` in {file} must be {must}, but is {given.dtype}")
        is_vector = parameter.dim() == 1 and given.numel() == len(parameter)
        given = (given.reshape(-1) if is_vector else given).to(parameter)
        if given.shape != parameter.shape:
            raise Mistake(
                f"`{name}` in {file} must have the shape {list(parameter.shape)} of the configured model, "
                f"but has {list(given.shape)}",
                "the settings of model and dataset with which the weights were made",
            )
        if not torch.isfinite(given).all():
            raise Mistake(f"`{name}` in {file} must be finite, but is not")
        state[name] = given
    model.load_state_dict(state)
