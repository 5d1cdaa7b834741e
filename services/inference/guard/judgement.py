"""Whether a version has failed so much that the one before it is to be served again."""

from services.inference.guard.options import Guarding
from services.inference.guard.watch import Watch


def why_to_go_back(watch: Watch, guarding: Guarding, now: float) -> str:
    """What speaks against a version; empty for nothing."""
    rules, failing_since = guarding.rollback, watch.breaker.failing_since
    on_probation = watch.begun is not None and now - watch.begun < rules.probation_s
    if failing_since is not None and now - failing_since >= rules.after_open_s:
        return f"its breaker has not closed for {now - failing_since:.3g} s"
    if not on_probation:
        return ""
    if failing_since is not None:
        return "its breaker opened while it was on probation"
    measured = watch.window.read(now)
    if measured.judged < guarding.breaker.min_requests:
        return ""
    if measured.error_rate > rules.max_error_rate:
        return f"{measured.error_rate:.1%} of its requests failed while it was on probation"
    if 0 < rules.max_p99_s < measured.p99_s:
        return f"its p99 was {measured.p99_s * 1000:.3g} ms while it was on probation"
    return ""
