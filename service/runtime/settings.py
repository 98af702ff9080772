"""The settings of the service, read from the environment.

Each field is the variable of the same name (`port` is `HRM_ARC_PORT`); an option of the command
line overrides it. A field without a variable may be a file of the secrets folder, with the name in
small letters (`hrm_arc_api_keys`). An unknown `HRM_ARC_…` name of either kind is refused, since a
misspelt setting would otherwise have no effect and give no message.
"""

import difflib
import os
import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import quote, urlsplit

from pydantic import AnyHttpUrl, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from pydantic_settings import SettingsError as SourceError

from service.runtime.devices import EngineOptions
from service.runtime.folders import CHECKPOINT_MARK, default_state_folder, shipped_checkpoints
from service.runtime.key_ring import KeyRing
from service.wire.errors import SettingsError
from service.wire.options import Adapt

PREFIX = "HRM_ARC_"
REDIS_SCHEMES = ("unix://", "redis://", "rediss://")
# Read by the client, not here: one shell may both run the service and call it.
CLIENT_NAMES = (f"{PREFIX}API_KEY",)
DAY_S = 86_400
_HOST_NAME = re.compile(r"[A-Za-z0-9._-]+")


def parse_address(host: str) -> IPv4Address | IPv6Address | None:
    """Return a host as an IP address, or None for a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


class Settings(BaseSettings):
    """How the service runs.

    Units: `…_s` in seconds, `…_bytes` in bytes, `max_queue_share` of `max_queued`.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="forbid"
    )

    # The queue; None starts the embedded server. Not in repr, since it may hold a password.
    redis_url: Annotated[str | None, Field(repr=False)] = None
    # For an address without one, which then is no secret.
    redis_password: SecretStr | None = None
    # A folder with files of settings, such as secrets that a container mounts.
    secrets_folder: Path | None = None
    state_folder: Path = Field(default_factory=default_state_folder)

    # Checkpoint folders to serve, or folders that contain some.
    checkpoints: Annotated[
        tuple[Path, ...],
        NoDecode,
        Field(min_length=1, default_factory=lambda: (shipped_checkpoints(),)),
    ]
    default_checkpoint: str | None = None
    allow_unverified: bool = False
    max_resident: Annotated[int, Field(ge=1)] = 4

    # HTTP. Keys: `owner:key` or `key`, comma-separated.
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8400
    api_keys: SecretStr = SecretStr("")
    allow_anonymous: bool = False
    # Without keys, requests for a host other than localhost, `host` and these are refused, since a
    # web page can make its own host name resolve to this service (DNS rebinding). Comma-separated.
    allowed_hosts: Annotated[frozenset[str], NoDecode] = frozenset()
    # Above it, the connection that has been idle the longest is closed.
    max_connections: Annotated[int, Field(ge=1)] = 1000
    max_body_bytes: Annotated[int, Field(ge=1024)] = 4 * 2**20
    # The body of a batch, which is a whole challenges file.
    max_batch_bytes: Annotated[int, Field(ge=1024)] = 32 * 2**20
    max_wait_s: Annotated[float, Field(gt=0)] = 300.0
    default_wait_s: Annotated[float, Field(ge=0)] = 60.0

    # Jobs.
    max_queued: Annotated[int, Field(ge=1)] = 10_000
    max_queue_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    result_ttl_s: Annotated[int, Field(ge=1)] = 7 * DAY_S
    max_ended: Annotated[int, Field(ge=1)] = 50_000
    idempotency_ttl_s: Annotated[int, Field(ge=1)] = DAY_S
    lease_s: Annotated[float, Field(ge=1)] = 12.0
    max_attempts: Annotated[int, Field(ge=1)] = 5
    max_jobs: Annotated[int, Field(ge=1)] = 64
    # A job of more samples (variants times test inputs) is divided among the workers that answer
    # with its checkpoint, where there are several; 0: none is.
    shard_above: Annotated[int, Field(ge=0)] = 1024
    grace_s: Annotated[float, Field(ge=0)] = 25.0
    # Answer a submission only once it is on disk: safe against power loss, up to a second slower.
    strict_durability: bool = False

    # Adaptation: test-time training on a puzzle's demonstrations. adapt_max_s is the upper limit
    # for a job; 0: this service does not adapt.
    adapt_max_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 600.0
    # Of jobs that do not say whether to adapt.
    adapt_default: Literal["auto", "never"] = "auto"
    adapt_default_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 120.0
    # Puzzles of one caller that come within so many seconds are adapted to together; 0: each alone.
    adapt_gather_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 2.0
    adapt_max_variants: Annotated[int, Field(ge=1, le=1000)] = 256
    # Adapted checkpoints are kept for later jobs of the same puzzle, the most recently used ones.
    adapt_cache_bytes: Annotated[int, Field(ge=0)] = 10 * 2**30
    # The most devices of this host that train one adaptation together, while they are idle.
    adapt_devices: Annotated[int, Field(ge=1)] | Literal["all"] = 1
    adapt_snapshot_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 20.0

    # The worker's engine; None leaves the choice to it.
    device: str = "auto"
    slots: Annotated[int | None, Field(ge=1)] = None
    precision: Literal["float32", "bfloat16", "float16"] | None = None
    attention: str = "auto"
    compile: bool | None = None
    # On the CPU; None: by the network's size and the free cores.
    threads: Annotated[int | None, Field(ge=1)] = None
    worker_id: str | None = None
    worker_metrics_port: Annotated[int | None, Field(ge=0, le=65_535)] = None

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "console"] = "auto"
    # Of an OpenTelemetry collector, without /v1/traces; None: nothing is traced.
    otlp_endpoint: AnyHttpUrl | None = None

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """Read the environment; a keyword that is not None overrides its variable.

        Raises: SettingsError naming the variable and what to do.
        """
        given = {name: value for name, value in overrides.items() if value is not None}
        folder = _secrets_folder(given.get("secrets_folder"))
        try:
            _refuse_unknown(cls, folder)
            return cls(**given | {"_secrets_dir": folder})
        except ValidationError as error:
            raise SettingsError(_sentence(error)) from None  # its text may quote a secret
        except (OSError, SourceError) as error:
            raise SettingsError(
                f"{PREFIX}SECRETS_FOLDER cannot be read ({error.__cause__ or error}). Make its "
                "files readable for the user of this process"
            ) from error

    @field_validator("checkpoints", mode="before")
    @classmethod
    def _split_paths(cls, value: Any) -> Any:
        if isinstance(value, str):
            return [part for part in value.split(os.pathsep) if part]
        return value

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _split_hosts(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        hosts = [part.strip() for part in value.split(",")]
        if not all(_HOST_NAME.fullmatch(host) or parse_address(host) for host in hosts):
            raise ValueError("give names or addresses without ports, separated by commas")
        return hosts

    @field_validator("redis_url")
    @classmethod
    def _check_scheme(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(REDIS_SCHEMES):
            raise ValueError(f"it must begin with one of {', '.join(REDIS_SCHEMES)}")
        return value

    @model_validator(mode="after")
    def _check_password(self) -> Self:
        if self.redis_password is not None:
            if self.redis_url is None:
                raise ValueError(f"{PREFIX}REDIS_PASSWORD needs {PREFIX}REDIS_URL beside it")
            if urlsplit(self.redis_url).password:
                raise ValueError(
                    f"{PREFIX}REDIS_URL holds a password, and {PREFIX}REDIS_PASSWORD is set too: "
                    "keep one of the two"
                )
        return self

    @field_validator("api_keys")
    @classmethod
    def _check_keys(cls, value: SecretStr) -> SecretStr:
        KeyRing.parse(value.get_secret_value())
        return value

    @property
    def key_ring(self) -> KeyRing:
        """The API keys; without any, callers need none."""
        return KeyRing.parse(self.api_keys.get_secret_value())

    @property
    def known_queue_url(self) -> str | None:
        """The address of Redis with its password; None for the embedded server."""
        if self.redis_url is None or self.redis_password is None:
            return self.redis_url
        parts = urlsplit(self.redis_url)
        user, _, host = parts.netloc.rpartition("@")
        password = quote(self.redis_password.get_secret_value(), safe="")
        return parts._replace(netloc=f"{user.rstrip(':')}:{password}@{host}").geturl()

    @property
    def queue_url(self) -> str:
        """The address of Redis, for the parts that need one.

        Raises: SettingsError when none is set.
        """
        url = self.known_queue_url
        if url is None:
            raise SettingsError(
                f"{PREFIX}REDIS_URL is not set, and it says where the queue is. Set it "
                "(redis://HOST:6379/0), or run everything on this machine with `hrm-arc serve`"
            )
        return url

    @property
    def engine_options(self) -> EngineOptions:
        """The options of the worker's engines."""
        return EngineOptions(
            self.device, self.slots, self.precision, self.attention, self.compile, self.threads
        )

    @property
    def default_adapt(self) -> Adapt:
        """Whether jobs adapt that do not say so; never where adaptation is off."""
        return self.adapt_default if self.adapt_max_s > 0 else "never"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the address to listen on."""
        address = parse_address(self.host)
        return self.host == "localhost" if address is None else address.is_loopback

    def check_exposure(self) -> None:
        """Check that other machines cannot use the service without a key.

        Raises: SettingsError where they could and `allow_anonymous` is not set.
        """
        if not (self.is_loopback or self.key_ring.keys or self.allow_anonymous):
            raise SettingsError(
                f"{PREFIX}HOST {self.host}: other machines could use the service without a key. "
                f"Set {PREFIX}API_KEYS (owner:key, comma-separated) or, behind a proxy that "
                f"controls access, {PREFIX}ALLOW_ANONYMOUS=true"
            )

    def checkpoint_folders(self) -> tuple[Path, ...]:
        """Return the checkpoint folders to serve; those inside one folder in the order of names.

        Raises: as `folders_by_name`.
        """
        return tuple(self.folders_by_name().values())

    def folders_by_name(self) -> dict[str, Path]:
        """Return the folders of `checkpoint_folders` as they are now, by the checkpoint's name.

        Raises: SettingsError for an entry without checkpoints, and for two of the same name.
        """
        found: dict[str, Path] = {}
        for entry in self.checkpoints:
            for folder in _folders_in(entry):
                name = folder.resolve().name
                if name in found and not found[name].samefile(folder):
                    raise SettingsError(
                        f"{PREFIX}CHECKPOINTS: {found[name]} and {folder} have the same name, "
                        "and jobs select checkpoints by name. Rename one of the folders"
                    )
                found.setdefault(name, folder)
        return found

    def environment(self) -> dict[str, str]:
        """Return the environment variables for another process to load these settings."""
        return {
            f"{PREFIX}{name.upper()}": _as_text(getattr(self, name))
            for name in sorted(self.model_fields_set)
            if getattr(self, name) is not None
        }


def _secrets_folder(given: Path | None) -> Path | None:
    folder = given or os.environ.get(f"{PREFIX}SECRETS_FOLDER")
    if not folder:
        return None
    if not Path(folder).is_dir():
        raise SettingsError(
            f"{PREFIX}SECRETS_FOLDER: there is no folder {folder}. Mount one with a file for each "
            f"secret ({PREFIX.lower()}api_keys), or unset it"
        )
    return Path(folder)


def _refuse_unknown(settings: type[Settings], secrets: Path | None) -> None:
    known = [name.upper() for name in settings.model_fields]
    files = [] if secrets is None else [path.name.upper() for path in secrets.iterdir()]
    for variable in sorted({*os.environ, *files}):
        name = variable.removeprefix(PREFIX)
        if variable.startswith(PREFIX) and name not in known and variable not in CLIENT_NAMES:
            # Compared without the prefix, which would make any two names similar.
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
            every = ", ".join(f"{PREFIX}{one}" for one in sorted(known))
            hint = f"Did you mean {PREFIX}{near[0]}?" if near else f"The settings are {every}"
            raise SettingsError(f"{variable} is not a setting. {hint}")


def _sentence(error: ValidationError) -> str:
    """Say what is wrong with each variable, without the value, which may be a secret."""
    # A rule over several fields is at none of them, and its message names them.
    return "; ".join(
        "".join(f"{PREFIX}{str(name).upper()} is not valid: " for name in part["loc"][:1])
        + part["msg"].removeprefix("Value error, ")
        for part in error.errors(include_url=False, include_input=False)
    )


def _folders_in(entry: Path) -> list[Path]:
    if (entry / CHECKPOINT_MARK).is_file():
        return [entry]
    if not entry.is_dir():
        raise SettingsError(
            f"{PREFIX}CHECKPOINTS: there is no folder {entry}. Give checkpoint folders, or folders "
            f"that contain some, separated by {os.pathsep!r} (--checkpoints). The repository of "
            "hrm-arc has some in its folder checkpoints"
        )
    folders = sorted(path.parent for path in entry.glob(f"*/{CHECKPOINT_MARK}"))
    if not folders:
        raise SettingsError(
            f"{PREFIX}CHECKPOINTS: {entry} is not a checkpoint folder and contains none (a "
            f"checkpoint folder has an {CHECKPOINT_MARK}). Fetch one with `hrm-arc pull`"
        )
    return folders


def _as_text(value: Any) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, frozenset):
        return ",".join(sorted(value))
    if isinstance(value, tuple):
        return os.pathsep.join(map(str, value))
    return str(value)
