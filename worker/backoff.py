"""How long to wait before the next try: exponential, capped, and spread by jitter."""

import random
from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field


class Backoff(BaseModel):
    """Delay before attempt n+1 is `first * factor**(n-1)`, at most `cap`, then spread by `jitter`.

    `jitter` is the share of the delay that is random: 0.5 spreads it over 50 % to 150 %.
    """

    model_config = ConfigDict(frozen=True)

    first: timedelta = Field(default=timedelta(seconds=1), gt=timedelta(0))
    factor: float = Field(default=2.0, ge=1.0, le=10.0)
    cap: timedelta = Field(default=timedelta(minutes=5), gt=timedelta(0))
    jitter: float = Field(default=0.25, ge=0.0, le=1.0)

    def delay(self, failures: int, *, spread: float | None = None) -> timedelta:
        """Return the delay after the `failures`-th failure in a row (counted from 1).

        `spread` in 0..1 picks the place within the jitter; left out, it is random.
        """
        # The exponent is bounded so that a large count cannot overflow the float.
        seconds = self.first.total_seconds() * self.factor ** min(max(failures, 1) - 1, 60)
        seconds = min(seconds, self.cap.total_seconds())
        place = random.random() if spread is None else spread  # noqa: S311 - not a secret
        return timedelta(seconds=seconds * (1 + self.jitter * (2 * place - 1)))
