"""What a cron expression may say, what it means, and when it fires next."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter
from hypothesis import given
from hypothesis import strategies as st
from temporalio.client import ScheduleRange

from pulse_temporal.config import Limits
from pulse_temporal.errors import DefinitionError
from pulse_temporal.model.cron import ALIASES, SHORTHANDS, read_cron
from pulse_temporal.model.definitions import WorkflowDefinition, WorkflowUpdate
from pulse_temporal.model.validation import apply_update, parse_definition
from pulse_temporal.services.definitions.cron import cron_findings, parse_cron

START = datetime(2026, 1, 1, tzinfo=UTC)
DEFINITION: dict[str, object] = {"tenantId": "t", "name": "n", "triggerType": "x", "steps": []}


def next_times(
    expression: str, number: int = 3, *, zone: str = "UTC", after: datetime = START
) -> list[str]:
    """Return the next times as the zone's clock shows them."""
    times = islice(parse_cron(expression, zone).times_after(after), number)
    return [f"{time.astimezone(ZoneInfo(zone)):%m-%d %H:%M%z}" for time in times]


def refusals(expression: str, timezone: str | None = None) -> list[str]:
    with pytest.raises(DefinitionError) as raised:
        parse_cron(expression, timezone)
    return [str(problem) for problem in raised.value.problems]


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("*/15", {0, 15, 30, 45}),
        ("5/20", {5, 25, 45}),
        ("10-20/5", {10, 15, 20}),
        ("1,2,30-32", {1, 2, 30, 31, 32}),
        ("7", {7}),
        ("07", {7}),
        ("8-8", {8}),
        ("58-2", {58, 59, 0, 1, 2}),
        ("57-5/3", {57, 0, 3}),
        ("*/60", {0}),
        ("59/30", {59}),
    ],
)
def test_a_field_takes_numbers_lists_ranges_and_steps(text: str, minutes: set[int]) -> None:
    assert read_cron(f"{text} * * * *").minutes == minutes


@pytest.mark.parametrize(
    ("text", "weekdays"),
    [
        ("0", {0}),
        ("7", {0}),
        ("sun", {0}),
        ("5-7", {5, 6, 0}),
        ("FRI-MON", {5, 6, 0, 1}),
        ("Sat-Sun", {6, 0}),
        ("SUN-SAT", {0, 1, 2, 3, 4, 5, 6}),
        ("0-7", {0, 1, 2, 3, 4, 5, 6}),
        ("7-2", {0, 1, 2}),
        ("5/2", {5}),
        ("MON-FRI/2", {1, 3, 5}),
    ],
)
def test_weekdays_have_names_and_two_numbers_for_sunday(text: str, weekdays: set[int]) -> None:
    assert read_cron(f"0 0 * * {text}").weekdays == weekdays


def test_months_have_names() -> None:
    assert read_cron("0 0 1 nov-FEB *").months == {11, 12, 1, 2}


@pytest.mark.parametrize("shorthand", [*SHORTHANDS, *ALIASES])
def test_a_shorthand_is_the_expression_that_it_stands_for(shorthand: str) -> None:
    meaning = SHORTHANDS[ALIASES.get(shorthand, shorthand)]
    assert read_cron(shorthand) == read_cron(shorthand.upper()) == read_cron(meaning)


def test_the_last_day_of_the_month() -> None:
    times = next_times("0 0 L * *", 3, after=datetime(2028, 1, 1, tzinfo=UTC))
    assert times == ["01-31 00:00+0000", "02-29 00:00+0000", "03-31 00:00+0000"]


@pytest.mark.parametrize("text", ["5L", "L5", "FRIL", "lfri"])
def test_the_last_friday_of_the_month(text: str) -> None:
    assert next_times(f"0 9 * * {text}", 2) == ["01-30 09:00+0000", "02-27 09:00+0000"]


def test_the_nth_weekday_of_the_month() -> None:
    assert next_times("0 9 * * MON#2", 2) == ["01-12 09:00+0000", "02-09 09:00+0000"]
    assert next_times("0 9 * * 5#5", 2) == ["01-30 09:00+0000", "05-29 09:00+0000"]


def test_kinds_of_weekdays_mix() -> None:
    times = next_times("0 0 * * MON#1,WED,5L", 6, after=datetime(2026, 2, 1, tzinfo=UTC))
    assert [time[:5] for time in times] == ["02-02", "02-04", "02-11", "02-18", "02-25", "02-27"]


@pytest.mark.parametrize(
    ("expression", "days"),
    [
        ("0 0 13 * FRI", ["01-02", "01-09", "01-13", "01-16"]),
        ("0 0 L * MON#1", ["01-05", "01-31", "02-02", "02-28"]),
        ("0 0 31 2 SUN", ["02-01", "02-08", "02-15", "02-22"]),
        ("0 0 10 * */1", ["01-10", "02-10", "03-10", "04-10"]),
        ("0 0 *,5 * TUE", ["01-06", "01-13", "01-20", "01-27"]),
    ],
)
def test_with_two_restricted_day_fields_either_is_enough(expression: str, days: list[str]) -> None:
    assert [time[:5] for time in next_times(expression, 4)] == days


@pytest.mark.parametrize(
    ("expression", "refusal"),
    [
        ("", "must have five fields"),
        ("* * * *", "must have five fields (minute, hour, day of month, month, day of week)"),
        ("* * * * * *", "not 6. There are no seconds and no years."),
        ("0 0 0 1 1 * 2027", "not 7. There are no seconds and no years."),
        ("@dayly", 'or "@hourly", "@daily", "@weekly", "@monthly" or "@yearly". Did you mean'),
        ("@every 5m", "Write a step, such as */15 * * * *"),
        ("@reboot", "must be five fields"),
        ("CRON_TZ=Europe/Paris 0 0 * * *", "must not name a time zone. Set the field timezone."),
        ("TZ=UTC 0 0 * * *", "must not name a time zone"),
        ("0 0 ? * *", 'day of month: "?" is not known here. Write "*".'),
        ("H * * * *", 'minute: "H" is not known here'),
        ("H(0-29)/10 * * * *", 'minute: "H(0-29)/10" is not known here'),
        ("0 R * * *", 'hour: "R" is not known here'),
        ("0 0 15W * *", 'day of month: "15W" is not known here: there is no nearest weekday'),
        ("0 0 LW * *", 'day of month: "LW" is not known here'),
        ("60 * * * *", 'minute: "60" must name 0 to 59'),
        ("0 24 * * *", 'hour: "24" must name 0 to 23'),
        ("0 0 0 * *", 'day of month: "0" must name 1 to 31'),
        ("0 0 1 13 *", 'month: "13" must name 1 to 12, or JAN to DEC'),
        ("0 0 * * 8", 'day of week: "8" must name 0 to 7, or SUN to SAT'),
        ("0 0 * * monday", 'day of week: "MONDAY" must name 0 to 7, or SUN to SAT. Did you mean'),
        ("0 0 * MON *", 'month: "MON" must name'),
        ("0 0 * * MON#6", 'day of week: "MON#6" must have 1 to 5 after "#"'),
        ("0 0 * * MON#0", 'must have 1 to 5 after "#"'),
        ("0 0 1#2 * *", 'day of month: "1#2" must be'),
        ("0 0 * L *", 'month: "L" must name'),
        ("0 0 L-3 * *", 'day of month: "L-3" must name'),
        ("*/0 * * * *", 'minute: "*/0" must have a step of 1 to 60'),
        ("*/61 * * * *", 'minute: "*/61" must have a step of 1 to 60'),
        ("-1 * * * *", 'minute: "-1" must be "*", a number, a range'),
        ("1-2-3 * * * *", 'minute: "1-2-3" must be'),
        ("*-5 * * * *", 'minute: "*-5" must be'),
        ("1,,2 * * * *", 'minute: "" must be'),
        ("1.5 * * * *", 'minute: "1.5" must be'),
        ("* * * * * # note", "not 7"),
        ("0 0 31 2 *", "never fires"),
        ("0 0 30,31 FEB *", "never fires"),
        ("0 0 31 4,6,9,11 *", "never fires"),
    ],
)
def test_what_is_refused_is_named_with_what_is_accepted(expression: str, refusal: str) -> None:
    assert refusal in refusals(expression)[0]


def test_every_wrong_field_is_told() -> None:
    problems = refusals("60 24 0 13 8", "Mars/Olympus")
    assert [problem.split(":")[0] for problem in problems] == ["/cronExpression"] * 5 + [
        "/timezone"
    ]


def test_a_time_zone_is_an_iana_name() -> None:
    (problem,) = refusals("@daily", "europe/berlin")
    assert problem == (
        '/timezone: "europe/berlin" is not an IANA time zone such as Europe/Paris. '
        'Did you mean "Europe/Berlin"?'
    )
    assert refusals("@daily", "../etc/passwd")


def test_a_definition_is_told_about_its_cron_together_with_all_else() -> None:
    wrong = {**DEFINITION, "name": 1, "timezone": "Nowhere", "cronExpression": "61 * * * *"}

    with pytest.raises(DefinitionError) as raised:
        parse_definition(wrong, limits=Limits(), check=cron_findings)

    pointers = [problem.pointer for problem in raised.value.problems]
    assert pointers == ["/name", "/timezone", "/cronExpression"]


def test_problems_of_a_change_point_into_the_change() -> None:
    content = parse_definition({**DEFINITION, "cronExpression": "@daily"}, limits=Limits())
    stored = WorkflowDefinition(**dict(content), id="wfd_1", created_at=START, updated_at=START)

    with pytest.raises(DefinitionError) as raised:
        apply_update(stored, {"cron_expression": "x"}, limits=Limits(), check=cron_findings)

    assert [problem.pointer for problem in raised.value.problems] == ["/cron_expression"]


@pytest.mark.parametrize("value", [7, None, "", "\ud800 * * * *", "* " * 200, ["*"]])
def test_what_is_no_line_of_text_is_left_to_the_other_checks(value: object) -> None:
    assert cron_findings({"cronExpression": value, "timezone": value}) == []


def test_a_local_time_that_does_not_exist_is_passed_over() -> None:
    before = datetime(2026, 3, 7, 12, tzinfo=UTC)
    times = next_times("30 2 * * *", 2, zone="America/New_York", after=before)
    assert times == ["03-09 02:30-0400", "03-10 02:30-0400"]


def test_half_an_hour_may_be_missing() -> None:
    before = datetime(2026, 10, 3, 12, tzinfo=UTC)
    times = next_times("*/15 2 * * *", 3, zone="Australia/Lord_Howe", after=before)
    assert times == ["10-04 02:30+1100", "10-04 02:45+1100", "10-05 02:00+1100"]


def test_a_local_time_that_exists_twice_is_given_twice_and_in_order() -> None:
    before = datetime(2026, 10, 24, 12, tzinfo=UTC)
    assert next_times("0,30 2 * * *", 5, zone="Europe/Berlin", after=before) == [
        "10-25 02:00+0200",
        "10-25 02:30+0200",
        "10-25 02:00+0100",
        "10-25 02:30+0100",
        "10-26 02:00+0100",
    ]


def test_between_the_two_the_second_comes_next() -> None:
    between = datetime(2026, 10, 25, 0, 45, tzinfo=UTC)
    times = next_times("30 2 * * *", 2, zone="Europe/Berlin", after=between)
    assert times == ["10-25 02:30+0100", "10-26 02:30+0100"]


def test_an_expression_of_which_every_local_time_is_missing_never_fires() -> None:
    assert "never fires" in refusals("* 2 * 3 SUN#2", "America/New_York")[0]
    assert parse_cron("* 2 * 3 SUN#2", "Europe/Berlin")


@pytest.mark.parametrize(
    ("expression", "zone", "clock_zone"),
    [
        ("*/5 * * * *", "Europe/Berlin", "UTC"),
        ("*/5 * * * *", "Asia/Kolkata", "Asia/Kolkata"),
        ("0 * * * *", "Australia/Lord_Howe", "Australia/Lord_Howe"),
        ("0 */2 * * *", "Europe/Berlin", "Europe/Berlin"),
        ("0 * * * MON", "Europe/Berlin", "Europe/Berlin"),
        ("0 * * 1 *", "Europe/Berlin", "Europe/Berlin"),
    ],
)
def test_what_fires_in_every_hour_needs_no_zone_that_shifts_by_hours(
    expression: str, zone: str, clock_zone: str
) -> None:
    assert parse_cron(expression, zone).clock_zone == clock_zone


def test_calendars_are_numbers_and_carry_the_expression() -> None:
    (calendar,) = parse_cron("*/30 22-1 * jan MON-FRI", None).calendars()
    assert calendar.minute == (ScheduleRange(0), ScheduleRange(30))
    assert calendar.hour == (ScheduleRange(0, 1), ScheduleRange(22, 23))
    assert (calendar.month, calendar.day_of_week) == ((ScheduleRange(1),), (ScheduleRange(1, 5),))
    assert (calendar.day_of_month, calendar.year) == ((ScheduleRange(1, 31),), ())
    assert calendar.comment == "*/30 22-1 * jan MON-FRI"


@pytest.mark.parametrize("month", range(1, 13))
def test_a_range_from_a_value_to_itself_is_that_value(month: int) -> None:
    """Unlike croniter, to which it is the whole circle."""
    assert read_cron(f"0 0 1 {month}-{month} *").months == {month}


EXPRESSIONS = (
    "7,22 3 * * *",
    "*/20 */5 1-10 * *",
    "0 0 L * *",
    "15 6 * 2 L4",
    "30 12 29 2 *",
    "0 4 13 * 5",
    "59 23 31 * 1#3",
    "0 1-3 * 3,10 SUN",
)


@given(
    expression=st.sampled_from(EXPRESSIONS),
    zone=st.sampled_from(("UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Chatham")),
    after=st.datetimes(datetime(2024, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis adds the zone
)
def test_every_time_given_is_one_and_no_other_lies_between(
    expression: str, zone: str, after: datetime
) -> None:
    cron = parse_cron(expression, zone)

    times = list(islice(cron.times_after(after), 4))

    assert times == sorted(set(times))
    assert all(time > after and cron.fires_at(time) for time in times)
    if times[-1] - after < timedelta(days=20):
        minutes = int((times[-1] - after) / timedelta(minutes=1)) + 1
        first = after.replace(second=0, microsecond=0)
        others = [first + timedelta(minutes=number) for number in range(1, minutes + 1)]
        assert [time for time in others if cron.fires_at(time) and time <= times[-1]] == times


@pytest.mark.parametrize("expression", [text for text in EXPRESSIONS if "31 *" not in text])
def test_without_a_zone_croniter_agrees(expression: str) -> None:
    oracle = croniter(expression, START, ret_type=datetime)
    expected = [oracle.get_next() for _ in range(50)]
    assert list(islice(parse_cron(expression, None).times_after(START), 50)) == expected


def test_a_second_past_the_minute_is_not_a_time() -> None:
    assert not parse_cron("* * * * *", None).fires_at(START + timedelta(seconds=1))


@pytest.mark.parametrize(
    "text", ["0\t2\t*\t*\t*", "0 2 * * *\n", "0 2 * * *\r\n", "\n  0 2 * * *  \n", "\t0 2 * * *"]
)
def test_a_cron_expression_may_come_from_a_crontab_or_a_yaml_block(text: str) -> None:
    definition = parse_definition(DEFINITION | {"cronExpression": text}, limits=Limits())

    assert definition.cron_expression == "0 2 * * *"
    assert WorkflowUpdate.model_validate({"cron_expression": text}).cron_expression == "0 2 * * *"
    assert not cron_findings({"cronExpression": text})


@pytest.mark.parametrize("text", ["0 2\n* * *", "0 2 * * *\n0 3 * * *", "\t\n"])
def test_a_cron_expression_is_one_line(text: str) -> None:
    with pytest.raises(DefinitionError, match=r"/cronExpression: must"):
        parse_definition(DEFINITION | {"cronExpression": text}, limits=Limits())


def test_what_is_wrong_in_a_text_with_tabs_is_told() -> None:
    assert cron_findings({"cronExpression": "61\t2\t*\t*\t*"})
