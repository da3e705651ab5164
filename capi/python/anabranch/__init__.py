"""Anabranch from Python: ctypes over the C ABI, nothing to build, nothing but the standard library.

    import anabranch

    lib = anabranch.load()
    cache = lib.cache(n_pages=4096)
    with cache.step() as step:                      # aborts unless committed
        trunk = step.create_sequence()
        step.append(trunk, prompt)
        kids = step.fork(trunk, 3, anabranch.Positions.SEQUENTIAL)
        for kid, prefix in zip(kids, prefixes):
            step.append(kid, prefix, anabranch.Logits.LAST)
        plan = step.plan()                          # false: plan.n_pages_short pages are missing
        if plan:
            my_model(plan.tokens, plan.positions, plan.slots, plan.mask())
            step.commit()

    decoder = lib.decoder(markup="skeleton", tokenizer=tokenizer, end_of_text=[2])
    for event in decoder.run(prompt, model):        # model: plan -> logits [n_outputs, vocabulary]
        print(event)

    scheduler = anabranch.Scheduler(lib.decoder(preemptible=1))    # many requests, by priority and deadline
    for prompt in prompts:
        scheduler.submit(prompt)
    for event in scheduler.run(model):
        print(event)

Names, statuses and limits are those of the headers in capi: anabranch.h,
anabranch_decoder.h and anabranch_scheduler.h. What fails raises Error and has
changed nothing. One thread at a time per cache.
"""
from .abi import EventKind, Logits, Paged, Positions, Reason, Role, HostOpKind, ShareTail, Status, Visibility
from .cache import Cache, Plan, Step
from .decoder import Branch, Decoder, Event
from .library import Error, Library, load
from .scheduler import Scheduler

__all__ = [
    "Branch", "Cache", "Decoder", "Error", "Event", "EventKind", "Library", "Logits", "Paged", "Plan", "Positions",
    "Reason", "Role", "HostOpKind", "Scheduler", "ShareTail", "Status", "Step", "Visibility", "load",
]
