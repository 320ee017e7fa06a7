"""What TensorBoard itself serves of a run, by the command that the run recommends."""

from __future__ import annotations

import io
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from werkzeug.test import Client

Command = Callable[..., int]
LONG = (
    "model=rbm dataset=bars_and_stripes dataset.side=2 dataset.event.shape=[1,2,2] dataset.batch_size=4 "
    "model.hidden=3 trainer.max_steps=24 trainer.validate_every_n_steps=2 hydra.run.dir=a/run"
).split()


def served(arguments: list[str]) -> Client:
    """TensorBoard's answers to a browser."""
    from tensorboard import program
    from tensorboard.backend.application import TensorBoardWSGIApp
    from tensorboard.plugins.core.core_plugin import CorePluginLoader
    from tensorboard.plugins.image.images_plugin import ImagesPlugin

    board = program.TensorBoard([CorePluginLoader, ImagesPlugin])
    board.configure(["tensorboard", *arguments, "--load_fast=false", "--reload_interval=0", "--reload_task=blocking"])
    ingester = board._make_data_ingester()
    ingester.start()
    return Client(TensorBoardWSGIApp(board.flags, board.plugin_loaders, ingester.data_provider))


@pytest.mark.filterwarnings("ignore:html5lib's sanitizer")
def test_the_recommended_command_shows_every_picture(dgmrun: Command, tmp_path: Path, capsys: Any) -> None:
    assert dgmrun(*LONG) == 0
    (command,) = [line for line in capsys.readouterr().err.splitlines() if "tensorboard" in line]
    browser = served(shlex.split(command)[1:])
    tags = browser.get("/data/plugin/images/tags").get_json()["run"]
    assert {"train/filters", "train/chains"} <= set(tags)
    for tag in tags:
        shown = browser.get("/data/plugin/images/images", query_string={"run": "run", "tag": tag}).get_json()
        assert [picture["step"] for picture in shown] == list(range(2, 25, 2)), tag
        for picture in shown:
            content = browser.get(f"/data/plugin/images/individualImage?{picture['query']}").data
            assert Image.open(io.BytesIO(content)).format == "PNG"
