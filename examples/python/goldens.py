#!/usr/bin/env python3
"""Do the cache and the planner agree with golden positions and masks? Asked through the C ABI alone.

    python3 examples/python/goldens.py FILE

FILE: JSON lines as tests/goldens/README.md describes them. Every case is decoded in several orders; what the plans say
must not depend on them. Exit status: 0 when all cases agree in every order, 1 when one does not (or there is none), 2
when the file is bad or there is no library. Needs nothing but Python and libanabranch.so.
"""
import json
import random
import sys
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "capi/python"))  # the tree's own; not needed once it is installed
import anabranch  # noqa: E402
from anabranch import Positions, ShareTail  # noqa: E402

MODES = ("normal", "max_para", "fixrange")
MAX_COUNT = 1 << 20  # more than any case could need; keeps a wrong length from asking for all memory
MAX_SHOWN = 5  # differences, per case and order


# ---- Reading: strict, so that "all agree" cannot come from cases that were not understood


class BadFile(Exception):
    pass


@dataclass
class Case:
    line: int  # of the file, from 1
    items: list  # a count of serial tokens, or a list of branch lengths
    mode: str
    positions: list
    visible: list  # [n_tokens], sets of flat indices as the bits of an integer


def require(holds, text):
    if not holds:
        raise BadFile(text)


def show(value):
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."


def to_count(value, least, what):
    require(type(value) is int, f"{what} is {show(value)}, not an integer")
    require(least <= value <= MAX_COUNT, f"{what} is {value}, outside [{least}, {MAX_COUNT}]")
    return value


def to_item(value):
    require(isinstance(value, dict) and len(value) == 1, f"an item of tokens_kind is {show(value)}")
    if "serial" in value:
        return to_count(value["serial"], 0, "serial")
    require("block" in value, f"an item of tokens_kind is neither serial nor block: {show(value)}")
    block = value["block"]
    require(isinstance(block, list) and block, f"a block is {show(block)}")
    return [to_count(length, 2, "a branch's length") for length in block]


def to_items(values):
    items = []
    for item in map(to_item, values):
        if item == 0:
            continue
        both = isinstance(item, list) and items and isinstance(items[-1], list)
        require(not both, "two blocks without a serial token between")
        items.append(item)
    return items


def to_visible(pairs, n_tokens, what):
    require(isinstance(pairs, list), f"{what} is not an array")
    bits = end = 0
    for pair in pairs:
        require(isinstance(pair, list) and len(pair) == 2, f"{what} holds {show(pair)}, not [a,b)")
        begin, after = to_count(pair[0], 0, what), to_count(pair[1], 0, what)
        require(begin < after <= n_tokens, f"{what} holds {show(pair)}, not inside [0, {n_tokens})")
        require(begin >= end, f"{what} is not ascending at {show(pair)}")
        bits, end = bits | (1 << after) - (1 << begin), after
    return bits


def to_case(line, json_text):
    case = json.loads(json_text)
    require(isinstance(case, dict), "not a JSON object")
    for name in ("tokens_kind", "mode", "positions", "mask"):
        require(name in case, f'no "{name}"')
        require(name == "mode" or isinstance(case[name], list), f'"{name}" is not an array')
    mode = case["mode"]
    require(mode in MODES, f"mode is {show(mode)}, not normal, max_para or fixrange")
    items = to_items(case["tokens_kind"])
    n = sum(item if isinstance(item, int) else sum(item) for item in items)
    positions, mask = case["positions"], case["mask"]
    require(
        len(positions) == len(mask) == n,
        f"tokens_kind makes {n} tokens, but there are {len(positions)} positions and {len(mask)} mask rows",
    )
    positions = [to_count(position, 0, "a position") for position in positions]
    visible = [to_visible(pairs, n, f"mask[{i}]") for i, pairs in enumerate(mask)]
    return Case(line, items, mode, positions, visible)


def read_cases(name):
    """All cases; blank lines are skipped. Raises BadFile as "NAME:LINE: what is wrong"."""
    try:
        with open(name, "rb") as file:
            lines = file.read().split(b"\n")
    except OSError as error:
        raise BadFile(f"{name}: {error.strerror}") from None
    cases = []
    for number, text in enumerate(lines, 1):
        try:
            if text.strip(b" \t\r"):
                cases.append(to_case(number, text.decode()))
        except (BadFile, ValueError, RecursionError) as error:  # ValueError: no UTF-8, no JSON
            raise BadFile(f"{name}:{number}: {error}") from None
    return cases


# ---- Driving


@dataclass(frozen=True)
class Order:
    """One of the many orders in which a decoder may append the same branched text."""

    name: str
    branches: str = "lockstep"  # a token each per pass; or ragged: 0 to 3, joined as they end; one_by_one; all_at_once
    transitions: str = "fused"  # forks and joins share a pass with tokens; or separate: steps without rows
    join: str = "given"  # the order of the branches, or reversed
    serial_chunk: int = MAX_COUNT  # most serial tokens per pass
    page_size: int = 16
    share_tail: ShareTail = ShareTail.SPARE
    reading: str = "groups"  # what tells visibility: the plan's groups, its dense mask, or its paged slot lists


ORDERS = (
    Order("lockstep, transitions inside the passes"),
    Order("branches one by one, steps without rows", branches="one_by_one", transitions="separate", page_size=3,
          share_tail=ShareTail.NEVER),
    Order("everything in one pass", branches="all_at_once", page_size=1),
    Order("ragged, joined as they end", branches="ragged", serial_chunk=5, page_size=4),
    Order("lockstep, serial tokens in pieces, joined in reverse", transitions="separate", join="reversed",
          serial_chunk=4, share_tail=ShareTail.NEVER),
    Order("serial tokens one by one, branches at once", branches="all_at_once", serial_chunk=1, page_size=5),
    Order("lockstep, read from the dense mask", join="reversed", page_size=2, reading="mask"),
    Order("ragged, read from the paged export", branches="ragged", transitions="separate", page_size=7,
          reading="paged"),
)


@dataclass
class Branch:
    sequence: int
    next_flat: int  # its next token's flat index, which is that token's id
    left: int


@dataclass
class Observed:
    """What the plans said, by flat index."""

    positions: dict = field(default_factory=dict)
    visible: dict = field(default_factory=dict)
    problems: list = field(default_factory=list)  # a token planned twice or never, a key seen twice, ...


class Driver:
    """Decodes one case in one order."""

    def __init__(self, lib, case, order):
        blocks = [item for item in case.items if isinstance(item, list)]
        n_pages = len(case.positions) // order.page_size + 16 + sum(2 + 2 * len(block) for block in blocks)
        self.case, self.order = case, order
        self.cache = lib.cache(n_pages=n_pages, page_size=order.page_size, share_tail=order.share_tail)
        self.flat_of_slot = [anabranch.abi.NONE] * self.cache.statistics().n_slots
        self.open_step, self.trunk, self.next_flat = None, None, 0
        self.random = random.Random(1)
        self.observed = Observed()

    def run(self):
        self.trunk = self.step().create_sequence()
        for item in self.case.items:
            self.decode_block(item) if isinstance(item, list) else self.decode_serial(item)
        self.run_pass()
        n_tokens = self.cache.sequence(self.trunk).n_tokens
        if n_tokens != len(self.case.positions):
            self.problem(f"the joined sequence holds {n_tokens} tokens")
        self.cache.check()
        self.cache.close()
        return self.observed

    def step(self):
        self.open_step = self.open_step or self.cache.step()
        return self.open_step

    def append(self, sequence, first, n):
        self.step().append(sequence, range(first, first + n))

    def run_pass(self):
        """Ends the open step, if there is one: plans it, notes the plan, commits."""
        if self.open_step is None:
            return
        plan = self.open_step.plan()
        if plan:
            self.note(plan)
            self.open_step.commit()
        else:
            self.problem(f"no room: {plan.n_pages_short} pages short")
            self.open_step.abort()
        self.open_step = None

    def end_transition(self):
        if self.order.transitions == "separate":
            self.run_pass()

    def decode_serial(self, n):
        while n > 0:
            chunk = min(n, self.order.serial_chunk)
            self.append(self.trunk, self.next_flat, chunk)
            self.next_flat += chunk
            n -= chunk
            if n > 0:
                self.run_pass()
        self.end_transition()

    def decode_block(self, lengths):
        policy = {"normal": Positions.SEQUENTIAL, "max_para": Positions.LONGEST, "fixrange": max(lengths)}
        branches = []
        for sequence, length in zip(self.step().fork(self.trunk, len(lengths), policy[self.case.mode]), lengths):
            branches.append(Branch(sequence, self.next_flat, length))
            self.next_flat += length
        self.end_transition()
        first, waiting = True, branches
        while True:
            waiting = self.take_round(waiting, first)
            if not any(branch.left for branch in waiting):
                break
            first = False
            self.run_pass()
        self.end_transition()
        if self.order.join == "reversed":
            waiting = waiting[::-1]
        if waiting:
            self.step().join(self.trunk, [branch.sequence for branch in waiting])
        self.end_transition()

    def take_round(self, branches, first):
        """Every open branch takes its tokens of one pass; those that still wait for their join are returned."""
        ragged, n_open = self.order.branches == "ragged", sum(branch.left > 0 for branch in branches)
        for branch in branches:
            if branch.left == 0:
                continue
            n = min(branch.left, self.tokens_now(branch, first))
            self.append(branch.sequence, branch.next_flat, n)
            branch.next_flat += n
            branch.left -= n
            if self.order.branches == "one_by_one":
                break
        ended = [branch for branch in branches if branch.left == 0]
        if not ragged or not ended or len(ended) == n_open:
            return branches
        self.step().join(self.trunk, [branch.sequence for branch in ended])
        return [branch for branch in branches if branch.left > 0]

    def tokens_now(self, branch, first):
        if self.order.branches == "lockstep":
            return 1 + branch.left % 2 if first else 1  # ragged prefixes
        return self.random.randrange(4) if self.order.branches == "ragged" else branch.left

    # ---- Noting what a plan says

    def note(self, plan):
        tokens, positions, slots = list(plan.tokens), list(plan.positions), list(plan.slots)
        for token, position, slot in zip(tokens, positions, slots):
            if token in self.observed.positions:
                self.problem(f"token {token} was planned twice")
            self.observed.positions[token] = position
            self.flat_of_slot[slot] = token
        read = {"groups": self.read_groups, "mask": self.read_mask, "paged": self.read_paged}[self.order.reading]
        seen = [[] for _ in tokens]
        read(plan, seen)
        for token, flats in zip(tokens, seen):
            self.observed.visible[token] = self.bits(token, flats)

    def bits(self, token, flats):
        if len(set(flats)) != len(flats):
            self.problem(f"token {token} sees a key twice")
        if min(flats, default=0) < 0:
            self.problem(f"token {token} sees a slot that holds no token")
        bits = bytearray(len(self.case.positions) // 8 + 1)
        for flat in flats:
            bits[flat >> 3] |= 1 << (flat & 7)
        return int.from_bytes(bits, "little")

    def read_groups(self, plan, seen):
        for group in plan.groups:
            flats = [self.flat_of_slot[slot] for slot in plan.keys(group)]
            for row, n_keys in plan.rows(group):
                seen[row] += flats[:n_keys]

    def read_mask(self, plan, seen):
        mask = plan.mask(self.flat_of_slot, len(self.case.positions))
        for flats, values in zip(seen, mask.tolist()):
            flats += [flat for flat, value in enumerate(values) if value == 0]

    def read_paged(self, plan, seen):
        for level in plan.paged():
            for entry in range(level.n_entries):
                slots = level.indices[level.indptr[entry] : level.indptr[entry + 1]]
                flats = [self.flat_of_slot[slot] for slot in slots]
                begin, end = level.row_indptr[entry], level.row_indptr[entry + 1]
                for row in range(begin, end):
                    seen[row] += flats[: len(flats) - (end - 1 - row)] if level.causal and flats else flats

    def problem(self, text):
        self.observed.problems.append(text)


# ---- Comparing


def intervals(bits):
    text, begin = "", 0
    while bits >> begin:
        begin += (bits >> begin & -(bits >> begin)).bit_length() - 1
        rest = ~(bits >> begin)
        end = begin + (rest & -rest).bit_length() - 1
        text, begin = text + f"[{begin},{end})", end
    return text or "nothing"


def disagreements(lib, case, order):
    """Every difference between a case and what one order of decoding it showed; empty: they agree."""
    try:
        observed = Driver(lib, case, order).run()
    except anabranch.Error as error:
        return [str(error)]
    found = observed.problems
    for i, (position, visible) in enumerate(zip(case.positions, case.visible)):
        if i not in observed.positions:
            found.append(f"token {i} was in no plan")
            continue
        if observed.positions[i] != position:
            found.append(f"token {i} has position {observed.positions[i]}, expected {position}")
        if observed.visible[i] != visible:
            found.append(f"token {i} sees {intervals(observed.visible[i])}, expected {intervals(visible)}")
    return found


def agrees(lib, name, case):
    """True when every order agrees; prints the differences."""
    all_agree = True
    for order in ORDERS:
        found = disagreements(lib, case, order)
        for text in found[:MAX_SHOWN]:
            print(f"{name}:{case.line}: {case.mode}, {order.name}: {text}")
        if len(found) > MAX_SHOWN:
            print(f"{name}:{case.line}: ... and {len(found) - MAX_SHOWN} more")
        all_agree = all_agree and not found
    return all_agree


def main():
    if len(sys.argv) != 2:
        sys.stderr.write(f"error: {len(sys.argv) - 1} arguments in place of one\n\n{__doc__}")
        return 2
    name = sys.argv[1]
    try:
        lib, cases = anabranch.load(), read_cases(name)
        n_agreed = sum(agrees(lib, name, case) for case in cases)
        print(f"{n_agreed} of {len(cases)} agree", flush=True)
    except (BadFile, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0 if cases and n_agreed == len(cases) else 1


if __name__ == "__main__":
    sys.exit(main())
