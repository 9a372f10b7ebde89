"""What `pansight train` determines before it trains: a model's configuration, batches, rates, costs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from pansight.training.config import TrainConfig
    from pansight.training.sources import Sources


def fine_tuned(
    model: str,
    data: str,
    batch_size: int | None,
    changes: Sequence[str],
    given: Sequence[str],
    *,
    automatic: bool,
    prefix: str = "",
) -> "tuple[TrainConfig, Sources]":
    """The configuration of a fine-tuning and its opened data; explicit options override the rule.

    Args:
        model, data: of the command line.
        batch_size: if one was given.
        changes: KEY=VALUE of the shortcuts.
        given: KEY=VALUE of `--set`, which override everything.
        automatic: whether the batch is to be found.
        prefix: of the messages.
    """
    from pansight.training.config import SceneData
    from pansight.training.finetuning import fine_tuning, rule, scaled
    from pansight.training.recipes import make_config, with_options
    from pansight.training.sources import open_sources

    options = [*changes, *given]
    content = fine_tuning(model, data, batch_size=batch_size)
    config = make_config(with_options(content, options))
    if config.batch_size != content["batch_size"]:  # by --set, which goes before everything
        content = fine_tuning(model, data, batch_size=config.batch_size)
    sources = open_sources(config)
    # synthetic scenes never end; a thousand of them stand for a data set
    images = 1000 if isinstance(config.data, SceneData) else len(sources.training)
    if automatic:
        from pansight.training.trial import find_batch_size

        size, line = find_batch_size(config, sources)
        typer.echo(f"{prefix}{line}")
        content = fine_tuning(model, data, batch_size=size)
    wanted = config.steps if any(one.startswith("steps=") for one in options) else None
    content = scaled({**content, "accumulate": config.accumulate}, images, steps=wanted)
    config = make_config(with_options(content, options))
    own = config.optimizer.learning_rate == content["optimizer"]["learning_rate"]
    typer.echo(f"{prefix}{rule(config.model_dump(mode='json'), images, own=own)}")
    return config, sources


def batch_that_fits(config: "TrainConfig", sources: "Sources", *, rated: bool) -> "TrainConfig":
    """The recipe with the batch that fits the free memory.

    Its rate scales with the root of the batch, unless it was given (`rated`).
    """
    from pansight.training.trial import find_batch_size

    size, line = find_batch_size(config, sources)
    if rated:
        typer.echo(f"{line}; learning rate {config.optimizer.learning_rate:g} (as given)")
        return config.model_copy(update={"batch_size": size})
    share = size / config.batch_size
    factor = share if config.optimizer.kind == "sgd" else share**0.5
    rate = float(f"{config.optimizer.learning_rate * factor:.3g}")
    typer.echo(f"{line}; learning rate {rate:g} (the recipe's, scaled to the batch)")
    optimizer = config.optimizer.model_copy(update={"learning_rate": rate})
    return config.model_copy(update={"batch_size": size, "optimizer": optimizer})


def show_dry_run(config: "TrainConfig", sources: "Sources", *, check: bool = True) -> None:
    """Fit four images, and print what the training would take."""
    from pansight.training.trial import dry_run, estimate_lines

    if check:
        from pansight.training.precheck import check_sources

        for remark in check_sources(sources):
            typer.echo(f"remark: {remark}", err=True)
    typer.echo(f"dry run: nothing is written; {len(sources.categories)} categories")
    for line in estimate_lines(dry_run(config, sources), config):
        typer.echo(line)


def show_rate(config: "TrainConfig", sources: "Sources") -> None:
    """Search for a learning rate, and print which and why."""
    from pansight.training.trial import find_rate

    found = find_rate(config, sources)
    lowest, highest = min(found.losses), max(found.losses)
    for place in range(0, len(found.rates), max(1, len(found.rates) // 20)):
        rate, loss = found.rates[place], found.losses[place]
        bar = "#" * round(40 * (loss - lowest) / max(highest - lowest, 1e-9))
        typer.echo(f"{rate:9.2g}  {loss:9.4g}  {bar}")
    typer.echo(
        f"learning rate: {found.best:g}  (the loss falls most steeply; use it with --lr {found.best:g})"
    )
