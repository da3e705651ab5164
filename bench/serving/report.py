"""What a load came to: percentiles, goodput, the table."""
import math
import statistics

SHARES = (50, 95, 99)


def percentile(values, share):
    """The nearest rank: the least value that `share` percent of them do not exceed; None of none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share / 100) - 1)] if ordered else None


def percentiles(values):
    return {f"p{share}": percentile(values, share) for share in SHARES}


def is_good(answer, target):
    return not answer.error and answer.times_of_text() and answer.seconds_a_token() <= target


def summarise(answers, begin, end, target):
    """Of a load measured from `begin` to `end`, in the clock's seconds. Tokens are those that came in this time, times
    those of requests that began in it. `target`: seconds a useful token that a good answer may take."""
    begun = [answer for answer in answers if begin <= answer.begun < end]
    whole = [answer for answer in begun if not answer.error and answer.times_of_text()]
    seconds = end - begin
    good = [answer for answer in answers if is_good(answer, target)]
    return {
        "seconds": seconds,
        "answers": len(whole),
        "good_answers": sum(is_good(answer, target) for answer in begun),
        "p95_good_answers": sum((percentile(answer.between_tokens(), 95) or 0) <= target for answer in whole),
        "errors": sum(bool(answer.error) for answer in begun),
        "tokens_per_second": sum(answer.useful_between(begin, end) for answer in answers) / seconds,
        "goodput": sum(answer.useful_between(begin, end) for answer in good) / seconds,
        "first_token_seconds": percentiles([answer.first() for answer in whole]),
        "between_tokens_seconds": percentiles([time for answer in whole for time in answer.between_tokens()]),
        "token_seconds": percentiles([answer.seconds_a_token() for answer in whole]),
        "answer_seconds": percentiles([answer.ended - answer.begun for answer in whole]),
        "mean_answer_tokens": statistics.fmean([answer.n_useful for answer in whole]) if whole else 0.0,
        "first_error": next((answer.error for answer in begun if answer.error), None),
    }


def request_record(answer, origin):
    """A request in the JSON, so that other limits can be tried on the same run; seconds since `origin`."""
    gaps = answer.gaps()
    return {"kind": answer.kind, "begun": answer.begun - origin, "first": answer.first(), "error": answer.error or None,
            "ended": answer.ended - origin, "useful_tokens": answer.n_useful, "seconds_a_token": answer.seconds_a_token(),
            "p95_token": percentile(answer.between_tokens(), 95), "p95_gap": percentile(gaps, 95), "largest_gap": max(gaps, default=None)}


def milliseconds(values):
    return "".join(f"{'-' if values[f'p{share}'] is None else round(1000 * values[f'p{share}'], 1):>8}" for share in SHARES)


def seconds(values, digits):
    return "".join(f"{'-' if values[f'p{share}'] is None else format(values[f'p{share}'], f'.{digits}f'):>7}"
                   for share in SHARES)


HEAD = (f"{'':22}{'goodput':>9}{'tokens/s':>10}{'answers':>9}{'good':>6}{'p95 good':>10}{'errors':>8}"
        f"{'first token, s':>22}{'between tokens, ms':>25}{'answer, s':>22}\n"
        f"{'':22}{'':9}{'':10}{'':9}{'':6}{'':10}{'':8}" + "".join(f"{name:>7}" for name in ("p50", "p95", "p99"))
        + " " + "".join(f"{name:>8}" for name in ("p50", "p95", "p99")) + " "
        + "".join(f"{name:>7}" for name in ("p50", "p95", "p99")))


def row(name, summary):
    return (f"{name:22}{summary['goodput']:>9.1f}{summary['tokens_per_second']:>10.1f}{summary['answers']:>9}"
            f"{summary['good_answers']:>6}{summary['p95_good_answers']:>10}{summary['errors']:>8}"
            f"{seconds(summary['first_token_seconds'], 2)} {milliseconds(summary['between_tokens_seconds'])} "
            f"{seconds(summary['answer_seconds'], 1)}")


def spread(values):
    return f"{statistics.median(values):.2f}x ({min(values):.2f}..{max(values):.2f})"
