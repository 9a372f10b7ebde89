"""Models on the Hugging Face Hub, by the name `hf:USER/MODEL`; needs the extra `hub`.

`hf:USER/MODEL@REVISION` takes a branch, tag or commit, `hf:USER/MODEL/FILE` another file than
`model.safetensors`. Files live in the Hub's own cache (`HF_HOME`), tokens come from `hf auth login`.
Nothing but weights is read: no code of a repository is ever run.
"""

import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pansight.errors import DownloadError, InputError
from pansight.files import require_extra
from pansight.zoo.reasons import first_line

PREFIX = "hf:"
WEIGHTS = "model.safetensors"
CARD = "README.md"

_log = logging.getLogger(__name__)

_NAME = re.compile(
    r"hf:(?P<repository>\w[\w.-]*/\w[\w.-]*)(?:@(?P<revision>[^/\s]+))?(?:/(?P<file>[^\s]+\.(safetensors|pth|pt|bin|pkl)))?"
)


@dataclass(frozen=True, slots=True)
class HubName:
    """A name taken apart; `revision` None is the main branch."""

    repository: str
    revision: str | None = None
    file: str = WEIGHTS

    @property
    def title(self) -> str:
        """What to call the model: the repository's name without its owner."""
        return self.repository.partition("/")[2]


def is_hub_name(name: str | os.PathLike[str]) -> bool:
    """Whether the Hub is meant.

    >>> is_hub_name("hf:someone/street-model"), is_hub_name("yoso-tiny")
    (True, False)
    """
    return os.fspath(name).startswith(PREFIX)


def parse_hub_name(name: str | os.PathLike[str]) -> HubName:
    """The parts of a name.

        >>> parse_hub_name("hf:someone/street-model@v2")
        HubName(repository='someone/street-model', revision='v2', file='model.safetensors')

    Raises InputError for anything that is not such a name.
    """
    text = os.fspath(name).replace("\\", "/")  # a Path on Windows
    match = _NAME.fullmatch(text)
    if match is None:
        raise InputError(
            f"{text} is not a model on the Hugging Face Hub; write hf:USER/MODEL, hf:USER/MODEL@REVISION "
            "or hf:USER/MODEL/FILE.safetensors"
        )
    return HubName(match["repository"], match["revision"], match["file"] or WEIGHTS)


def title_of(name: str | os.PathLike[str]) -> str:
    """What to call a model: its name, a file's without folder and suffix, a repository's without its owner.

    >>> title_of("runs/street.safetensors"), title_of("hf:someone/street-0.2@main")
    ('street', 'street-0.2')
    """
    return parse_hub_name(name).title if is_hub_name(name) else Path(os.fspath(name)).stem


def fetch_from_hub(name: str | os.PathLike[str]) -> Path:
    """The file behind the name, in the Hub's cache; downloaded when it is not there or has changed.

    Says the licence that the model card gives, once, when a file is fetched. Raises MissingExtraError (an
    InstallationError) without huggingface_hub, InputError for anything that is not such a name, DownloadError
    when the model or file does not exist or may not be read, or nothing can be reached and nothing is cached.
    """
    wanted = parse_hub_name(name)
    hub = require_extra("huggingface_hub", "hub")
    # read here and not at the import of the package, so that it can be set at any time
    options: dict[str, Any] = {"revision": wanted.revision, "endpoint": os.environ.get("HF_ENDPOINT")}
    try:
        found = hub.try_to_load_from_cache(wanted.repository, wanted.file, revision=wanted.revision)
    except ValueError as error:  # a name that the Hub does not allow
        raise InputError(f"{os.fspath(name)}: {first_line(error)}; write hf:USER/MODEL") from error
    cached = isinstance(found, str)
    if not cached:
        _log.info("downloading %s (licence: %s)", os.fspath(name), _licence(hub, wanted, options))
    return _download(hub, wanted, wanted.file, options)


def _download(hub: Any, wanted: HubName, file: str, options: dict[str, Any]) -> Path:
    errors = hub.errors
    place = f"hf:{wanted.repository}" + (f"@{wanted.revision}" if wanted.revision else "")
    try:
        return Path(hub.hf_hub_download(wanted.repository, file, **options))
    except errors.GatedRepoError as error:
        raise DownloadError(
            f"{place} requires consent to its terms; accept them on its page, then run: hf auth login"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise DownloadError(
            f"{place} does not exist, or is private; check the name, or run: hf auth login"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise DownloadError(f"{place}: no such revision; check the part after @") from error
    except errors.LocalEntryNotFoundError as error:
        raise DownloadError(
            f"{place}/{file} cannot be fetched and is not in the cache; check the network, "
            "or HF_HUB_OFFLINE and HF_ENDPOINT"
        ) from error
    except errors.EntryNotFoundError as error:
        raise DownloadError(
            f"{place} holds no {file}; name the file: hf:{wanted.repository}/FILE.safetensors"
        ) from error
    except (errors.HFValidationError, ValueError) as error:
        raise InputError(f"{place}: {first_line(error)}; write hf:USER/MODEL") from error
    except Exception as error:  # whatever the client's transport raises
        raise DownloadError(f"cannot fetch {place}/{file} ({first_line(error)}); try again later") from error


def _licence(hub: Any, wanted: HubName, options: dict[str, Any]) -> str:
    """What the model card says, or that it says nothing."""
    try:
        card = _download(hub, wanted, CARD, options)
        stated = hub.ModelCard(card.read_text(encoding="utf-8"), ignore_metadata_errors=True).data.license
    except Exception:  # a card is for the log alone; errors of YAML are of a kind of their own
        return "not stated"
    return str(stated) if stated else "not stated"
