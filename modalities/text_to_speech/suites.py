"""Which attacks suit a voice cloner, with budgets: texts only, see ``Adapter.suites``."""

from collections.abc import Mapping

_QUICK = (
    "UnseenClips",
    "ShortCrops",
    "ChannelChange",
    "PitchTempo",
    "SimilarVoices",
    "ClipGradient: {snr: 30}",
    "ClipGradient: {snr: 30, carrier: other}",
    "Mixtures",
    "Interpolation: {alphas: [0.5]}",
    "OriginalEmbedding",
    "EncoderSwap: {fraction: 0.5}",
    "EncoderSwap",
    "WeightInterpolation: {alpha: 0.5}",
    "Relearning: {loss: answers, steps: 20}",
)

_STANDARD = (
    "UnseenClips",
    "ShortCrops: {seconds: [0.5]}",
    "ShortCrops: {seconds: [1.0]}",
    "ShortCrops: {seconds: [2.0]}",
    "ChannelChange",
    "PitchTempo",
    "SimilarVoices",
    "ClipGradient: {snr: 40, steps: 100}",
    "ClipGradient: {snr: 30, steps: 100}",
    "ClipGradient: {snr: 20, steps: 100}",
    "ClipGradient: {snr: 30, steps: 100, carrier: other}",
    "ClipGradient: {snr: 20, steps: 100, carrier: other}",
    "ClipSquare: {snr: 30, steps: 500}",
    "ClipSquare: {snr: 20, steps: 500}",
    "Mixtures",
    "Interpolation: {alphas: [0.25]}",
    "Interpolation: {alphas: [0.5]}",
    "Interpolation: {alphas: [0.75]}",
    "OriginalEmbedding",
    "EmbeddingSearch",
    "EmbeddingInversion",
    "EncoderSwap: {fraction: 0.25}",
    "EncoderSwap: {fraction: 0.5}",
    "EncoderSwap: {fraction: 0.5, end: first}",
    "EncoderSwap",
    "WeightInterpolation: {alpha: 0.25}",
    "WeightInterpolation: {alpha: 0.5}",
    "WeightInterpolation: {alpha: 0.75}",
    "Relearning: {steps: 10}",
    "Relearning: {steps: 50}",
    "Relearning: {loss: answers, steps: 20}",
    "Relearning: {loss: answers, data: benign, examples: 40, steps: 50}",
    "Chain: {then: {Relearning: {part: generator, steps: 50}}}",
)

_FULL = (
    *_STANDARD,
    "ClipGradient: {snr: 40, steps: 100, carrier: other}",
    "EmbeddingSearch: {steps: 30, population: 8}",
    "EmbeddingInversion: {steps: 100}",
    "Relearning: {steps: 200}",
    "Relearning: {steps: 200, rank: 8}",
    "Relearning: {data: benign, examples: 40, steps: 50}",
)

SUITES: Mapping[str, tuple[str, ...]] = {"quick": _QUICK, "standard": _STANDARD, "full": _FULL}
