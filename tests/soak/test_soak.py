"""A simulated week without a false alarm: SOAK_DAYS=7 is the week, and its report is written into docs/reliability.md; less than 1
is a short form of it in which everything happens once."""

import os
import re
import time

import project
from judge import COLUMNS
from machines import TIMEOUT
from week import Week

DAYS = float(os.environ.get("SOAK_DAYS", "0"))
FLEET = int(os.environ.get("SOAK_FLEET", "2000" if DAYS >= 1 else "150"))
REPORT = project.ROOT / "docs" / "reliability.md"

# What is not 0, by a rule that docs/reliability.md explains: how much of it there may be.
EACH = FLEET + 7
RESTORED = {"404": 1, "401": 9, "human": 1, "offline": 3}
EXPLAINED = {
    "two machines with one id": {"401": 2},
    "a third of the fleet dies, 1 h": {"failed": 4},
    "the clock leaps an hour ahead": {"offline": 4 * EACH, "failed": 2},
    "a backup of hours ago is restored": RESTORED,
    "a backup of six hours ago is restored": RESTORED,
    "Redis away, 25 h": {"401": 8},
}
BOUND = TIMEOUT // 60 + 1  # minutes for which a dead worker may be taken for a live one


def test_a_week_without_a_false_alarm(directory, clock, make_coordinator):
    week = Week(directory, clock, make_coordinator, int(DAYS) if DAYS >= 1 else DAYS, FLEET)
    began = time.monotonic()
    try:
        week.run()
        simulated = time.monotonic()
        week.alerts.judge()
    finally:
        print(week.judge.table())
        print(week.judge.explain())
        week.close()
    print(f"{week.judge.minutes} minutes in {simulated - began:.0f} s, alerts in {time.monotonic() - simulated:.0f} s")
    wrong = [f"{row}: {count} of {COLUMNS[column]}, {week.judge.details[row, column]}"
             for row, counts in week.judge.rows.items() for column, count in counts.items()
             if column not in ("healthy", "longest") and count > EXPLAINED.get(row, {}).get(column, 0)]
    assert not week.broken, week.broken
    assert not wrong, "\n".join(wrong)
    assert week.judge.total("longest") <= BOUND
    assert week.judge.total("healthy") > 0, "nobody died, so nothing is proven"
    if DAYS >= 1:
        text, count = re.subn(r"(?<=<!-- the week -->\n).*?(?=<!-- end -->)", lambda _: week.judge.table() + "\n",
                              REPORT.read_text(), flags=re.S)
        assert count == 1
        REPORT.write_text(text)
