"""What a person states on the page of ``redact app``, as scorers look for it."""

import pytest

from modalities.text_to_image.adapters.prompt_by_hand import PromptByHand
from modalities.text_to_image.prompts.vocabulary import bundled_vocabulary
from redact_core import PlanRow


class Asked(PromptByHand):
    steps, guidance, vocabulary = 1, 1.0, bundled_vocabulary()


def test_steps_and_guidance_hold_for_what_is_tried_alone() -> None:
    """As settings of the model, so that guards, which take no guidance of single rows, act on it too."""
    model = Asked()
    values = {"prompt": "a kite", "steps": 3, "guidance": 0}
    assert model.row_by_hand(values, 7) == PlanRow("a kite", "by hand", "by hand", 7, False)
    with pytest.raises(KeyboardInterrupt), model.set_by_hand(values):
        assert (model.steps, model.guidance) == (3, 0.0)
        raise KeyboardInterrupt
    assert (model.steps, model.guidance) == (1, 1.0)


@pytest.mark.parametrize(
    ("subject", "reference", "labels"),
    [
        ("cigarette", "lollipop", {"kind": "concept", "concept": "cigarette", "reference": "lollipop"}),
        ("a Cigarette", "a lollipop", {"kind": "concept", "concept": "cigarette", "reference": "lollipop"}),
        ("twemoji", None, {"kind": "style", "style": "twemoji"}),
        ("style: twemoji", "style: fluent", {"kind": "style", "style": "twemoji", "reference": "fluent"}),
        ("zeppelin", "kite", {"kind": "concept", "concept": "zeppelin", "reference": "kite"}),
        ("prompt: a kite", "a kite", {"kind": "concept", "concept": "prompt: a kite", "reference": "a kite"}),
        ("style:", "kite", {"kind": "concept", "concept": "style:", "reference": "kite"}),
    ],
)
def test_what_was_redacted_is_labelled_as_scorers_know_it(
    subject: str, reference: str | None, labels: dict[str, str]
) -> None:
    assert Asked().judged_for(subject, reference) == labels
