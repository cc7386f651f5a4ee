"""What is shown of costs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from muster.console.known import Wish
from muster.console.views import costs
from muster.console.views.blocks import Span
from tests.console import replies
from tests.console.reading import charts, listing, texts
from tests.console.replies import NOW, known


def test_a_month_is_shown_by_model_and_service_with_its_forecast_and_budgets() -> None:
    found = replies.cost(
        replies.model_bill(budget=1.0, over_budget=True), replies.model_bill("other", budget=9.0), replies.model_bill(None)
    )
    view = costs.view(known(cost=found), NOW)
    rows = listing(view, "What each model has used").rows
    assert [row[0].text for row in rows] == ["toy", "other", "of no model"]
    assert (rows[0][0].href, rows[2][0].href) == ("/models/toy/cost", "")
    assert (rows[0][-1].text, rows[0][-1].tone) == ("$1.00, used up: training waits", "bad")
    assert rows[1][-1] == Span("$9.00")
    said = texts(view)
    assert "so far: $1.50" in said
    assert any("AWS's bill decides" in text for text in said)
    (chart,) = charts(view)
    assert "DynamoDB $1.50" in chart.label


def test_before_anything_was_counted_the_cost_pages_say_so() -> None:
    assert "Asking what was spent." in texts(costs.view(known(), NOW))
    assert "Nothing was counted yet." in texts(costs.view(known(cost=replies.cost()), NOW))
    empty = replies.model_cost(days=[], rounds=[])
    assert "No round was counted yet." in texts(costs.view_of_one("toy", known(**{"model-cost_toy": empty}), NOW))


def test_a_models_month_is_shown_by_day_and_round_and_what_another_size_would_cost() -> None:
    answers = {
        "model-cost_toy": replies.model_cost(), "status_toy": replies.status(clients=replies.fleet(clients=100)),
        "versions_toy": [replies.version()], "pace": replies.pace(),
    }  # fmt: skip
    shown = known(**answers)
    assert costs.wishes_of_one("toy", shown) == {
        Wish("model-cost", "toy"),
        Wish("status", "toy"),
        Wish("versions", "toy"),
        Wish("pace"),
    }
    view = costs.view_of_one("toy", shown, NOW)
    (row,) = listing(view, "What the last rounds took").rows
    assert [span.text for span in row] == ["3", "$0.010", "100", "0", "2 MB"]
    plans = listing(view, "What a month of it would cost").rows
    assert plans[0][0].text == "as it is"
    assert len(plans) == 6
    without = costs.view_of_one("toy", known(**{**answers, "status_toy": replies.status()}), NOW)
    assert not any("would cost" in text for text in texts(without)), "of no client there is no plan"


@given(st.floats(0.0, 1e12), st.integers(1, 10**7), st.integers(0, 10**12))
def test_whatever_was_spent_can_be_shown(dollars: float, clients: int, nbytes: int) -> None:
    total = replies.model_bill(spent=replies.bill(Lambda=dollars), forecast=dollars, budget=dollars + 1e-9)
    version = replies.version()
    large = version.model_copy(update={"checkpoint": version.checkpoint.model_copy(update={"bytes": nbytes})})
    answers = {
        "model-cost_toy": replies.model_cost(total=total), "status_toy": replies.status(clients=replies.fleet(clients=clients)),
        "versions_toy": [large], "pace": replies.pace(), "cost": replies.cost(total),
    }  # fmt: skip
    for view in (costs.view_of_one("toy", known(**answers), NOW), costs.view(known(**answers), NOW)):
        assert all(text.strip() for text in texts(view))
