"""A service with a task type of its own: it makes thumbnails of images, for whoever requests the type `thumbnail`.

    N8N_RUNNERS_AUTH_TOKEN=a-secret-of-your-own python thumbnails.py

An image is a list of rows of grey values, to have no dependency; a real service would take Pillow, and bytes.
"""

from __future__ import annotations

import asyncio
import os
import signal

import attrs

from runner import FunctionExecutor, TaskContext, TaskFailed, TaskRunner, TaskRunnerConfig

Image = list[list[int]]


@attrs.frozen
class Thumbnail:
    """What a request has to say."""

    image: Image
    width: int = 64


@attrs.frozen
class Scaled:
    """What it gets."""

    image: Image
    factor: int


def scale_down(image: Image, factor: int) -> Image:
    """Every pixel becomes the mean of `factor` times `factor` pixels."""

    def mean(row: int, column: int) -> int:
        block = [value for line in image[row : row + factor] for value in line[column : column + factor]]
        return sum(block) // len(block)

    return [[mean(row, column) for column in range(0, len(image[0]), factor)] for row in range(0, len(image), factor)]


async def make_thumbnail(settings: Thumbnail, task: TaskContext) -> Scaled:
    """Run one task."""
    if not settings.image or len({len(row) for row in settings.image}) > 1:
        raise TaskFailed("This is no image", "All its rows have to have the same length.")
    if settings.width < 1:
        raise TaskFailed("A thumbnail has to have a width")
    factor = -(-len(settings.image[0]) // settings.width)
    task.log.info("Scaling down by %d", factor)
    task.print("scaling down by", factor)
    image = await asyncio.to_thread(scale_down, settings.image, factor)  # what computes does not block the runner
    return Scaled(image, factor)


async def main() -> None:
    """Serve until SIGTERM."""
    config = TaskRunnerConfig.from_env(os.environ)
    runner = TaskRunner(config, executors={"thumbnail": FunctionExecutor(make_thumbnail, Thumbnail, concurrency=2)})
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, runner.request_stop, "SIGTERM")
    await runner.start()


if __name__ == "__main__":
    asyncio.run(main())
