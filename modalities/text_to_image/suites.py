"""Which attacks suit a model that draws pictures, with budgets: texts only, see ``Adapter.suites``."""

from collections.abc import Mapping

_QUICK = (
    "Rewording",
    "Misspelling: {kind: typo}",
    "Misspelling: {kind: homoglyph}",
    "Composition",
    "Composition: {negation: true}",
    "SeedSearch: {seeds: 4}",
    "GreedyCoordinate: {tokens: 4, steps: 6, candidates: 24, checks: 2}",
    "PEZ: {tokens: 4, steps: 30, checks: 2}",
    "SoftPrompt: {tokens: 4, steps: 40}",
    "EmbeddingInjection: {strength: 1}",
    "ConceptInversion: {tokens: 1, steps: 40, pictures: 16, batch: 8}",
    "HiddenState: {radius: 0.5, steps: 8}",
    "ImageToImage: {strength: 0.4}",
    "ImageToImage: {strength: 0.7}",
    "NullText: {passes: 5}",
    "HandOver: {share: 0.3}",
)

_STANDARD = (
    "Rewording",
    "Misspelling: {kind: typo}",
    "Misspelling: {kind: homoglyph}",
    "Misspelling: {kind: spacing}",
    "Composition",
    "Composition: {negation: true}",
    "SeedSearch: {seeds: 10}",
    "GuidanceSearch",
    "SneakyPrompt: {queries: 10}",
    "RingABell: {population: 60, generations: 40}",
    "RingABellAdaptive: {population: 60, generations: 40}",
    "GreedyCoordinate: {tokens: 4, steps: 30, candidates: 64}",
    "PEZ: {tokens: 4, steps: 150}",
    "P4D: {tokens: 4, steps: 100, checks: 4}",
    "UnlearnDiffAtk: {tokens: 5, steps: 100, checks: 5}",
    "SoftPrompt: {tokens: 1, steps: 200}",
    "SoftPrompt: {tokens: 8, steps: 200}",
    "EmbeddingInjection: {strength: 1}",
    "EmbeddingInjection: {strength: 3}",
    "ConceptInversion: {tokens: 1, steps: 300}",
    "ConceptInversion: {tokens: 4, steps: 300}",
    "HiddenState: {radius: 0.25, steps: 40}",
    "HiddenState: {radius: 1, steps: 40}",
    "ImageToImage: {strength: 0.3}",
    "ImageToImage: {strength: 0.5}",
    "ImageToImage: {strength: 0.7}",
    "ImageToImage: {strength: 0.9}",
    "NullText",
    "HandOver: {share: 0.2}",
    "HandOver: {share: 0.4}",
)

_FULL = (
    *_STANDARD,
    "ConceptInversion: {tokens: 1, steps: 1000}",
    "ConceptInversion: {tokens: 4, steps: 1000}",
)

SUITES: Mapping[str, tuple[str, ...]] = {"quick": _QUICK, "standard": _STANDARD, "full": _FULL}
"""``quick`` is meant for 20 rows of the bundled base within ten minutes on two cores."""
