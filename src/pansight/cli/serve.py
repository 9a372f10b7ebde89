"""`pansight serve`: models over HTTP and WebSocket, and a page to try them."""

import os
from pathlib import Path
from typing import Annotated

import typer

from pansight.cli.model_options import engine_option
from pansight.cli.predict import as_resize
from pansight.cli.settings import merge_settings
from pansight.cli.threads import share_cores
from pansight.errors import InputError
from pansight.files import require_extra

DEFAULT_MODEL = "panoptic-fcn-photo"


def serve(
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            help=f"A name from `pansight models`, a checkpoint, or NAME=CHECKPOINT; may be repeated. "
            f"{DEFAULT_MODEL} if not given.",
            show_default=False,
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 accepts connections from other machines.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 picks a free one.")
    ] = 8000,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps ...")] = "auto",
    engine: Annotated[str, engine_option()] = "auto",
    resize: Annotated[str, typer.Option(help="paper, none, or pixels of the short side.")] = "paper",
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="merge.KEY=VALUE",
            help="A merge setting of all models; may be repeated.",
            show_default=False,
        ),
    ] = None,
    max_batch: Annotated[
        int, typer.Option(min=1, max=256, help="Most images in one run of the network.")
    ] = 8,
    max_wait_ms: Annotated[
        float,
        typer.Option(
            min=0, max=10_000, help="Milliseconds that the first image of a batch waits for others."
        ),
    ] = 5.0,
    queue: Annotated[
        int, typer.Option(min=1, help="Images that may wait for each model; more are answered with 429.")
    ] = 64,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to answer a request, else 503.")] = 30.0,
    body_timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds for a body to arrive, else 408.")
    ] = 30.0,
    max_bytes: Annotated[
        int, typer.Option(min=1024, help="Largest body or frame; larger ones are answered with 413.")
    ] = 32 * 1024 * 1024,
    max_pixels: Annotated[
        int, typer.Option(min=1, help="Largest image to decode; larger ones are answered with 413.")
    ] = 50_000_000,
    streams: Annotated[int, typer.Option(min=0, help="WebSocket connections at a time.")] = 32,
    grace: Annotated[
        float, typer.Option(min=0, help="Seconds to finish accepted requests after SIGTERM.")
    ] = 30.0,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="File with the bearer token that clients must send; or set PANSIGHT_TOKEN.",
            show_default=False,
        ),
    ] = None,
    cors_origin: Annotated[
        list[str] | None,
        typer.Option(
            help="Site whose pages may send requests, such as https://example.org; may be repeated.",
            show_default=False,
        ),
    ] = None,
    page: Annotated[bool, typer.Option(help="Whether / serves the page.")] = True,
    static: Annotated[
        Path | None,
        typer.Option(
            help="Serve nothing: write a folder for any web server; its page runs the model in the browser.",
            show_default=False,
        ),
    ] = None,
    runtime: Annotated[
        Path | None,
        typer.Option(
            help="For --static: onnxruntime-web as .tgz or folder; downloaded by npm if not given.",
            show_default=False,
        ),
    ] = None,
    log_format: Annotated[
        str, typer.Option(metavar="[json|text]", help="Format of the log on standard error.")
    ] = "json",
) -> None:
    """Serve models: POST /v1/segment, the Open Inference Protocol at /v2, frames at /v1/stream, a page at /.

    Ends on SIGTERM or Ctrl-C, after accepted requests are answered. Exit code: 0; 1 if the grace time was
    too short for some; 2 if nothing could be served.
    """
    if log_format not in ("json", "text"):
        raise InputError(f"log format {log_format!r} is unknown; use json or text")
    for module in ("fastapi", "uvicorn", "python_multipart", "websockets", "prometheus_client"):
        require_extra(module, "serve")
    if static is not None:
        _write_folder(static, model or [DEFAULT_MODEL], runtime)
        return
    token = _token(token_file)
    merge = merge_settings(settings)

    share_cores()
    from pansight.serve.application import build_application, load_models
    from pansight.serve.logs import set_up
    from pansight.serve.options import ServeOptions
    from pansight.serve.running import listen, make_server, run

    set_up(log_format)
    options = ServeOptions.model_validate(
        {
            "max_batch": max_batch,
            "max_wait": max_wait_ms / 1000,
            "queue": queue,
            "timeout": timeout,
            "body_timeout": body_timeout,
            "max_bytes": max_bytes,
            "max_pixels": max_pixels,
            "streams": streams,
            "grace": grace,
            "token": token,
            "cors_origins": tuple(cors_origin or ()),
            "page": page,
        }
    )
    listener = listen(host, port)
    names = model or [DEFAULT_MODEL]
    loaded = load_models(names, device=device, resize=as_resize(resize), engine=engine, merge=merge)
    app = build_application(loaded, options)
    shown = f"[{host}]" if ":" in host else host

    def announce() -> None:
        where = f"http://{shown}:{listener.getsockname()[1]}"
        print(f"serving {', '.join(one.name for one in loaded)} on {where}", flush=True)

    if not run(make_server(app), listener, announce):
        raise typer.Exit(1)


def _write_folder(folder: Path, models: list[str], runtime: Path | None) -> None:
    share_cores()
    from rich.console import Console

    from pansight.serve.application import find_model
    from pansight.serve.static_folder import write_static
    from pansight.zoo import load_model

    console = Console(stderr=True, soft_wrap=True, highlight=False)
    found = [find_model(text) for text in models]
    loaded = [(name, load_model(source)) for name, source in found]
    with console.status("writing the page") as status:
        size = write_static(folder, loaded, runtime, lambda step: status.update(f"writing the page: {step}"))
    print(f"{folder}: {size / 1e6:.1f} MB; any web server can host it: python -m http.server -d {folder}")


def _token(file: Path | None) -> str | None:
    if file is None:
        return os.environ.get("PANSIGHT_TOKEN") or None
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read; give a file with the token") from error
    if not token:
        raise InputError(f"{file}: the file is empty; write the token into it")
    return token
