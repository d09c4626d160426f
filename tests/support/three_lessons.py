"""One redacted and two retained lessons, for a tiny cloner and a tiny painter."""

import copy
from pathlib import Path

from modalities.text_to_image import StableDiffusion
from modalities.text_to_speech import SpeechT5
from redact_core import Adapter, Lesson


def of_voices(speech: SpeechT5) -> tuple[Adapter, list[Lesson]]:
    """``speech`` with an encoder of its own; alice shall be answered as bob."""
    adapter = copy.copy(speech)
    adapter.encoder = copy.deepcopy(speech.encoder)
    clips = speech.bank.voices
    a, b, c = (str(clips[name][0]) for name in ("alice", "bob", "carol"))
    return adapter, [Lesson.redact(a, b), Lesson.retain(b), Lesson.retain(c)]


def of_prompts(folder: Path) -> tuple[Adapter, list[Lesson]]:
    """A fresh model of ``folder``; the cat shall be answered as the dog."""
    rows = [Lesson.redact("a cat", "a dog"), Lesson.retain("a dog"), Lesson.retain("red car")]
    return StableDiffusion(str(folder)), rows
