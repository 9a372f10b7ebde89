"""The settings of a server; every limit has a default that is safe to expose."""

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class ServeOptions(BaseModel):
    """Limits and times of one server.

    Attributes:
        max_batch: most images that go through the network together.
        max_wait: seconds that the first image of a batch waits for others.
        queue: images that may wait for each model; one more is refused with 429.
        timeout: seconds from the last byte of a request until it is given up, with 503.
        body_timeout: seconds in which the whole body must arrive, else 408.
        header_timeout: seconds in which the request line and all headers must arrive, else the connection is
            closed.
        max_bytes: largest body, of a WebSocket frame too; 413 above.
        max_pixels: largest image, checked before it is decoded; 413 above.
        held_bytes: memory for outputs of the network that are kept so that thresholds can be moved without
            another run; the oldest are dropped first.
        held_seconds: how long they are kept.
        streams: WebSocket connections at a time.
        grace: seconds that accepted requests get after SIGTERM.
        token: what `Authorization: Bearer` must carry; None: no token is required.
        cors_origins: other sites whose pages may send requests; none by default.
        page: whether `/` serves the page.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_batch: int = Field(8, ge=1, le=256)
    max_wait: float = Field(0.005, ge=0, le=10)
    queue: int = Field(64, ge=1)
    timeout: float = Field(30.0, gt=0)
    body_timeout: float = Field(30.0, gt=0)
    header_timeout: float = Field(10.0, gt=0)
    max_bytes: int = Field(32 * 1024 * 1024, ge=1024)
    max_pixels: int = Field(50_000_000, ge=1)
    held_bytes: int = Field(512 * 1024 * 1024, ge=0)
    held_seconds: float = Field(600.0, gt=0)
    streams: int = Field(32, ge=0)
    grace: float = Field(30.0, ge=0)
    token: SecretStr | None = None
    cors_origins: tuple[str, ...] = ()
    page: bool = True
