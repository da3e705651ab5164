"""Golden cases made from the rules of tests/goldens/README.md alone: no cache, no planner, no library."""
import random


def to_intervals(flats):
    intervals = []
    for flat in sorted(flats):
        if intervals and intervals[-1][1] == flat:
            intervals[-1][1] += 1
        else:
            intervals.append([flat, flat + 1])
    return intervals


def make_case(items, mode):
    """`items`: a count of serial tokens, or a list of branch lengths."""
    positions, mask, following = [], [], 0
    for item in items:
        if isinstance(item, int):
            for _ in range(item):
                positions.append(following)
                mask.append([[0, len(positions)]])
                following += 1
            continue
        first, longest = len(positions), max(item)
        for k, length in enumerate(item):
            begin = len(positions)
            start = following + (k * longest if mode == "fixrange" else 0)
            for j in range(length):
                positions.append(start + j)
                mask.append(to_intervals([*range(first), *range(begin, begin + j + 1)]))
        following += {"normal": sum(item), "max_para": longest, "fixrange": len(item) * longest}[mode]
    kinds = [{"serial": item} if isinstance(item, int) else {"block": item} for item in items]
    return {"tokens_kind": kinds, "mode": mode, "positions": positions, "mask": mask}


def random_case(random_, n_blocks, longest):
    items = []
    for _ in range(n_blocks):
        items.append(random_.randrange(1, 12))
        items.append([random_.randrange(2, longest + 1) for _ in range(random_.randrange(1, 9))])
    if random_.random() < 0.7:
        items.append(random_.randrange(1, 12))
    return make_case(items, random_.choice(["normal", "max_para", "fixrange"]))


def random_cases(seed, n, n_blocks=3, longest=20):
    random_ = random.Random(seed)
    return [random_case(random_, random_.randrange(n_blocks + 1), longest) for _ in range(n)]
