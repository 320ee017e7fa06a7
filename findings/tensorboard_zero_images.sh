#!/usr/bin/env bash
# TensorBoard 2.21.0: `--samples_per_plugin images=0` shows no image at all; 0 is not "all".
#
# Guess before running: all images, as a size of 0 means "keep all" in TensorBoard's own reservoirs and EventAccumulator.
# Seen: with images=0 the tag is listed without a single image; with images=3 there are 3, and with images=100 all 12.
# Hurts: whoever wants to see every step of a training sees an empty panel and thinks that nothing was logged.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet tensorboard==2.21.0 "setuptools<81" pillow==11.3.0
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import io
import sys

from PIL import Image
from tensorboard import program
from tensorboard.backend.application import TensorBoardWSGIApp
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.core.core_plugin import CorePluginLoader
from tensorboard.plugins.image.images_plugin import ImagesPlugin
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from werkzeug.test import Client

logs = f"{sys.argv[1]}/logs/run"
writer = EventFileWriter(logs)
for step in range(1, 13):
    content = io.BytesIO()
    Image.new("L", (2, 2), step).save(content, "PNG")
    image = Summary.Image(height=2, width=2, colorspace=1, encoded_image_string=content.getvalue())
    writer.add_event(Event(wall_time=step, step=step, summary=Summary(value=[Summary.Value(tag="x", image=image)])))
writer.close()


def shown(number: int) -> int:
    board = program.TensorBoard([CorePluginLoader, ImagesPlugin])
    flags = ["--load_fast=false", "--reload_interval=0", "--reload_task=blocking"]
    board.configure(["tensorboard", f"--logdir={sys.argv[1]}/logs", f"--samples_per_plugin=images={number}", *flags])
    ingester = board._make_data_ingester()
    ingester.start()
    browser = Client(TensorBoardWSGIApp(board.flags, board.plugin_loaders, ingester.data_provider))
    tags = browser.get("/data/plugin/images/tags").get_json()
    assert "x" in tags["run"], tags
    return len(browser.get("/data/plugin/images/images", query_string={"run": "run", "tag": "x"}).get_json())


found = {number: shown(number) for number in (0, 3, 100)}
print("images shown of 12, by the number asked for:", found)
assert found == {0: 0, 3: 3, 100: 12}
PYTHON
