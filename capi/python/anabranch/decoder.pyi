"""Types of decoder.py. A request and a branch are ints; structs of the library are those of abi.py."""
import threading
from dataclasses import dataclass
from typing import Any, Callable, Iterable, Iterator, Mapping, Sequence

from .abi import EventKind, LogitType, Reason, Role
from .cache import Cache, Plan
from .library import Library

LOGIT_TYPES: dict[str, LogitType]

@dataclass
class Event:
    kind: EventKind
    request: int
    branch: int
    token: int = 0
    role: Role = ...
    forced: bool = False
    log_probability: float = ...
    top: list[tuple[int, float]] = ...
    text: str = ""
    first_branch: int = 0
    n_branches: int = 0
    reason: Reason = ...
    user_data: int = 0
    @classmethod
    def of(cls, e: Any) -> Event: ...

@dataclass
class Branch:
    title: str
    text: str
    reason: Reason
    path: list[tuple[int, int]]
    sequence: int
    tokens: list[int]

def run_pass(planner: Any, model: Callable[[Plan], Any]) -> bool: ...

class Decoder:
    cache: Cache
    lib: Library
    close: Callable[[], Any]
    def __init__(
        self,
        cache: Cache,
        markup: str | dict[str, Any] | Any = "serial",
        tokenizer: Any = None,
        end_of_text: Iterable[int] = (),
        **options: Any,
    ) -> None: ...
    def submit(
        self,
        prompt: Iterable[int],
        stop: Sequence[str | int] = (),
        logit_bias: Mapping[int, float] | None = None,
        **options: Any,
    ) -> int: ...
    def plan(self) -> Plan | None: ...
    def output(self, i: int) -> Any: ...
    def commit(self, logits: Any) -> None: ...
    def commit_sampled(self, tokens: Iterable[int]) -> None: ...
    def abort(self) -> None: ...
    def events(self) -> Iterator[Event]: ...
    def run(
        self,
        prompt: Iterable[int],
        model: Callable[[Plan], Any],
        cancel: threading.Event | Any = None,
        deadline: float | None = None,
        on_pass: Callable[[], Any] | None = None,
        **options: Any,
    ) -> Iterator[Event]: ...
    def cancel(self, request: int) -> None: ...
    def release(self, request: int) -> None: ...
    def request(self, request: int) -> Any: ...
    def branch(self, request: int, branch: int = 0) -> Branch: ...
