"""Options of the pages, by name or from ``PULSE_WEB_<OPTION>``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Annotated, ClassVar, Unpack

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError
from typing_extensions import TypedDict

from pulse_temporal.errors import ConfigurationError

PREFIX = "PULSE_WEB_"

Count = Annotated[int, Field(ge=1, le=100_000)]


class WebSettings(TypedDict, total=False):
    """The fields of ``WebOptions``, as they are given by name."""

    hosts: str
    mark: str
    temporal_ui: str
    most_streams: int
    most_streams_of_one: int
    sign_in: bool
    trusted_proxies: str
    url: str


class WebOptions(BaseSettings):
    """How pages are served.

    Attributes:
        hosts: Host names that may be asked for beside those of the loopback device, separated by
            commas; a port does not count. ``*``: any, where a proxy checks them.
        mark: A word that tells this installation from others, as ``production``; shown in the
            bar and in the title.
        temporal_ui: Address of Temporal's own pages; runs link there when it is set.
        most_streams: Open pages that change by themselves, in this process.
        most_streams_of_one: The same of one person or key.
        sign_in: Whether people must sign in at this machine too. They must in any case where
            ``hosts`` or ``trusted_proxies`` is set, as others may come in there.
        trusted_proxies: Addresses and networks of proxies, separated by commas, whose word is
            taken for where a request comes from and whether it came by TLS; ``*``: any.
        url: Address under which people reach the pages; login links begin with it.
    """

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="ignore", hide_input_in_errors=True
    )

    hosts: str = ""
    mark: str = ""
    temporal_ui: str = ""
    most_streams: Count = 1_000
    most_streams_of_one: Count = 50
    sign_in: bool = False
    trusted_proxies: str = ""
    url: str = ""

    @property
    def host_names(self) -> frozenset[str]:
        """The host names beside those of the loopback device, in small letters."""
        return frozenset(name.strip().lower() for name in self.hosts.split(",") if name.strip())

    @property
    def needs_sign_in(self) -> bool:
        """Whether whoever works at this machine must sign in too."""
        return bool(self.sign_in or self.hosts or self.trusted_proxies)


def web_options(**given: Unpack[WebSettings]) -> WebOptions:
    """Return options; what is not given comes from the environment.

    Raises:
        ConfigurationError: One is wrong; its value is not repeated.
    """
    unknown = sorted(_unknown_variables())
    if unknown:
        known = ", ".join(_VARIABLES)
        raise ConfigurationError(f"{', '.join(unknown)}: no such setting; there are {known}.")
    try:
        return WebOptions(**given)
    except ValidationError as error:
        reasons = [
            f"{PREFIX}{'_'.join(map(str, problem['loc'])).upper()}: {problem['msg']}"
            for problem in error.errors(include_input=False, include_url=False)
        ]
    except SettingsError as error:
        reasons = [str(error)]
    raise ConfigurationError(f"A setting of the pages is wrong: {'; '.join(reasons)}")


_VARIABLES = tuple(f"{PREFIX}{name.upper()}" for name in WebOptions.model_fields)


def _unknown_variables() -> Iterator[str]:
    for name in os.environ:
        if name.upper().startswith(PREFIX) and name.upper() not in _VARIABLES:
            yield name
